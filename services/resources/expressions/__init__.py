"""The language in which people say which hosts they mean: `tag = web and idc in (js, bj) and not online`.

A text is read into a tree (lexer, parser), and the tree becomes a MongoDB query or a Python predicate. Both say the
same of every host. Pure.
"""
