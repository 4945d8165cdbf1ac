# Run on the second connection, which releases before 3.2 call REPL: undoes
# what that connection has done to the program, before it is closed. Otherwise
# the program's next `print` would write to it, and fail.
#
# Given are `names`, as for the agent, and `action`, what to do here besides.
# The class name of the result is what the debugger is told.


def undo():
    repl = names['_vspr']
    sys = names['sys']
    loop = names['DebuggerLoop'].instance
    backend = loop.repl_backend
    # A thread may be about to print through it.
    backend.write_stdout = backend.write_stderr = lambda value: None
    for stream in ('stdout', 'stderr'):
        output = getattr(sys, stream)
        while isinstance(output, repl._ReplOutput):
            output = output.old_out
        setattr(sys, stream, output)
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
