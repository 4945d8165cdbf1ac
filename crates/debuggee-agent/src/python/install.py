# All at once, while no message is being written.

loop = debugger.DebuggerLoop.instance
thread_of = debugger.get_thread_from_id
server_update = debugger.update_all_thread_stacks
if is_json:
    wire = Wire(loop._SocketIO__socket)
else:
    wire = Wire(debugger.conn)


def end_dead_loops():
    """Of the binary servers, for debuggers that have died: each reads an ended
    stream for ever, as fast as it can."""
    try:
        tops = sys._current_frames()
    except Exception:
        return
    for frame in tops.values():
        inner = None
        while frame is not None:
            if inner is not None and is_server_code(frame.f_code, 'loop'):
                connection = inner.f_locals.get('conn')
                if connection not in (None, wire, wire.socket):
                    connection.close()
            inner, frame = frame, frame.f_back


def install():
    earlier = names.get(OWN_NAME)
    if earlier is not None:
        # A dead session's, which nobody took away.
        earlier['world'].resume()
        earlier['remove']()
    debugger.DONT_DEBUG.append(OWN_FILE)
    locked(debugger.send_lock, take_over_unsent)
    end_dead_loops()
    in_background(watch)


# Seconds.
BETWEEN_LOOKS = 0.25


def watch():
    """Until the debugger's next command the server's loop is in its old `recv`,
    and would not notice the debugger's end. Afterwards, only where the system
    does not tell that a debugger is silent."""
    waited = 0
    while not wire.is_read and not world.closed:
        if waited > patience or wire.has_ended():
            return end_of_debugger()
        pause(0.005)
        waited += 0.005
    waited, words = 0, wire.words
    while wire.is_watched and not world.closed:
        # Not the time of day: a program that was stopped whole has heard
        # nothing meanwhile.
        pause(BETWEEN_LOOKS)
        waited += BETWEEN_LOOKS
        if words != wire.words:
            waited, words = 0, wire.words
        elif waited > patience:
            # Who reads or writes there finds the end of it.
            return wire.end()


def take_over_unsent():
    """The JSON servers send some messages under another lock only."""
    if is_json:
        locked(loop._IpcChannel__lock, take_over)
    else:
        take_over()


def take_over():
    wire.prepare()
    replaced.name(OWN_NAME, globals())
    # The loop ends with the session, so it keeps the wire.
    if is_json:
        loop._SocketIO__socket = wire
    else:
        replaced.name('conn', wire)
        loop.conn = wire
    replaced.name('_SendLockCtx', Message())
    take_over_text()
    locked(world.lock, take_over_stops)
    take_over_breakpoints()
    take_over_exceptions()
    take_over_leaving()
    take_over_fork()
    take_over_threads()
    replaced.name('eval', evaluate)


install()
