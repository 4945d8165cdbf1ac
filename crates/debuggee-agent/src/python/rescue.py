# What sets a program free that a debugger left stopped, or attached, when it
# died. Run by `visit`, which see.


def action(names):
    agent = names.get('__ptvsd_bridge__')
    if agent is not None:
        # It looks after the program by itself.
        return 'attended'
    release_threads(names)
    end_command_loop(names)
    unwrap_output(names)
    return 'rescued'


def release_threads(names):
    names['BREAKPOINTS'].clear()
    names.get('PENDING_BREAKPOINTS', set()).clear()
    release(names['BREAK_ON'].handler_lock)
    # Whoever is busy with an evaluation sees this when it is done.
    names['DETACHED'] = True
    for one in list(names['THREADS'].values()):
        one.stepping = names['STEPPING_NONE']
        one.reported_process_loaded = False
        if one._is_blocked and not one._is_working:
            release(one._block_lock)


def release(lock):
    try:
        lock.release()
    except Exception:
        pass


def end_command_loop(names):
    """It reads an ended stream for ever; from a closed one it cannot."""
    loop = names['DebuggerLoop'].instance
    connection = names.get('conn') or getattr(loop, '_SocketIO__socket', None)
    try:
        connection.close()
    except Exception:
        pass


def unwrap_output(names):
    """From 2.2 on each attach wraps it once more."""
    sys = names['sys']
    attach = names.get('attach_connected_process') or names['attach_process_from_socket']
    if 'enable_output_redirection' not in names['get_code'](attach).co_names:
        return
    for stream in ('stdout', 'stderr'):
        output = getattr(sys, stream)
        while isinstance(output, names['_DebuggerOutput']):
            output = output.old_out
        setattr(sys, stream, output)
