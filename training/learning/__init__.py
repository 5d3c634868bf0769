"""A network trained on composed answers, and made ready to be shipped."""
