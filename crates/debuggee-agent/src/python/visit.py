# Run on the second connection, which releases before 3.2 call REPL: undoes
# what that connection has done to the program, before it is closed. Otherwise
# the program's next `print` would write to it, and fail.
#
# Given are `names`, as for the agent, and `action`, what to do here besides.
# The class name of the result is what the debugger is told.


class Quiet(object):
    """The connection, for threads that print while it is closed."""

    def __init__(self, conn):
        self.conn = conn

    def sendall(self, data):
        try:
            self.conn.sendall(data)
        except Exception:
            pass

    def __getattr__(self, name):
        return getattr(self.conn, name)


def undo():
    repl = names['_vspr']
    sys = names['sys']
    loop = names['DebuggerLoop'].instance
    backend = loop.repl_backend
    # A thread may be about to print through it, or be printing.
    backend.write_stdout = backend.write_stderr = lambda value: None
    backend.conn = Quiet(backend.conn)
    backend.send_lock.acquire()
    backend.send_lock.release()
    unwrapped = []
    for stream in ('stdout', 'stderr'):
        output = getattr(sys, stream)
        while isinstance(output, repl._ReplOutput):
            unwrapped.append(output)
            output = output.old_out
        setattr(sys, stream, output)
    # Python 3's `print` does not hold what it is printing to.
    names['_unwrapped_output'] = unwrapped
    # The server has set them, unless the program is an interactive Python.
    if hasattr(sys.modules.get('__main__'), '__file__'):
        for prompt in ('ps1', 'ps2'):
            if hasattr(sys, prompt):
                delattr(sys, prompt)
    own_file = names['path'].normcase(repl.__file__)
    if own_file in names['DONT_DEBUG']:
        names['DONT_DEBUG'].remove(own_file)
    # Both threads of the connection end.
    loop.repl_backend = None
    backend.disconnect_requested = True
    try:
        backend.execute_item_lock.release()
    except Exception:
        pass


def outcome():
    try:
        word = action(names)
    except Exception:
        word = 'failed'
    # The server asks for its module, too.
    return type(word, (object,), {'__module__': 'ptvsd_bridge'})()


undo()
result = outcome()
