"""Ends credentials at once: the list of revoked keys in MongoDB, and the account JWT built from it that servers obey.

The JWT is never changed, always built anew from the whole list, so two replicas that revoke at the same time lose
nothing. This is the only place that signs the account: a separate signer would take its seat here.
"""
