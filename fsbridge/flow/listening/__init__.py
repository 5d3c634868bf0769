"""Is what was heard what a flow expects? Pure: evidence in, matches out; the taps are `call.conversation`'s."""
