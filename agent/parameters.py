"""The file through which a script gets its parameters, plain and masked alike, and its variables as `@KEY`.

One line each, `NAME=VALUE`. In a value every byte that is not printable ASCII, and the backslash, stands as `\\0` and
three octal digits: so a value is one line, `printf '%b'` of any shell gives the exact bytes back, and no byte of a
value can end it, name another parameter or reach a shell as code. The file has no name: it is an inherited descriptor
(DROVER_PARAMS_FD), never an argument or a variable, which other accounts could read.
"""

from collections.abc import Mapping

BACKSLASH = ord("\\")
_IN_NAMES = {code: f"\\0{code:03o}" for code in (*range(0x20), ord("="), BACKSLASH, 0x7F)}
_ESCAPED = [chr(byte) if 0x20 <= byte <= 0x7E and byte != BACKSLASH else f"\\0{byte:03o}" for byte in range(256)]


def encode(parameters: Mapping[str, str]) -> bytes:
    """Names of parameters are checked by the contract: letters, digits, underscore. Those of variables are any text, so
    `=`, line ends and the like are escaped in them too. Values are any text."""
    return "".join(f"{name.translate(_IN_NAMES)}={_escape(value)}\n" for name, value in parameters.items()).encode()


def _escape(value: str) -> str:
    return "".join([_ESCAPED[byte] for byte in value.encode()])
