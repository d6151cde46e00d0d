"""How a host joins: a challenge, a proof that it holds its key, a join token. Then its credentials, and new ones."""
