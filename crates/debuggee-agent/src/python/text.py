# Text that cannot be encoded: on Python 2, bytes that are no UTF-8, which the
# JSON dialects cannot write; on Python 3, lone surrogates, which the binary
# ones cannot. The server would take that for a lost connection, and detach
# without a word. Whatever is not text is shown as such instead.

bytes_type = type(debugger.to_bytes(''))


def readable(value):
    """The same value, with all bytes as text."""
    if isinstance(value, bytes_type):
        return value.decode('utf-8', 'replace')
    if isinstance(value, dict):
        return dict([(key, readable(item)) for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return [readable(item) for item in value]
    return value


def send_json(server_send):
    def send(**payload):
        try:
            server_send(**payload)
        except UnicodeError:
            # It is encoded before anything of it is sent.
            server_send(**readable(payload))

    return send


def write_string_with(server_write_string):
    def write_string(conn, text):
        try:
            server_write_string(conn, text)
        except UnicodeError:
            # As above.
            encoded = text.encode('utf-8', 'backslashreplace')
            server_write_string(conn, encoded.decode('utf-8'))

    return write_string


class Utf8(object):
    """In place of the codec that the server reads `sys.stdout.buffer` with: what
    a program writes there is any bytes, and no reason to raise in it."""

    def decode(self, data, errors='replace'):
        return server_utf8.decode(data, errors)

    def __getattr__(self, name):
        return getattr(server_utf8, name)


server_utf8 = debugger.utf_8


def take_over_text():
    if is_json:
        replaced.attribute(loop, '_send', send_json(loop._send))
    else:
        replaced.name('write_string', write_string_with(debugger.write_string))
    replaced.name('utf_8', Utf8())
