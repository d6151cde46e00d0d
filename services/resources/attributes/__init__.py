"""Custom attributes of hosts: declared by people, each with a type that its values are held to."""
