"""Roles that people define: permissions among the objects of a scope. The built-in ones are constants."""
