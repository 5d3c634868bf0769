"""The endpoints: who may ask, what is asked, what is answered. The work is done by `fsbridge`."""
