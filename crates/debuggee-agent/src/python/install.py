# All at once, while no message is being written.

loop = debugger.DebuggerLoop.instance
thread_of = debugger.get_thread_from_id
server_update = debugger.update_all_thread_stacks
if is_json:
    wire = Wire(loop._SocketIO__socket)
else:
    wire = Wire(debugger.conn)


def install():
    earlier = names.get(OWN_NAME)
    if earlier is not None:
        # A dead session's, which nobody took away.
        earlier['world'].resume()
        earlier['remove']()
    wire.prepare()
    debugger.DONT_DEBUG.append(OWN_FILE)
    locked(debugger.send_lock, take_over)


def take_over():
    replaced.name(OWN_NAME, globals())
    # The loop ends with the session, so it keeps the wire.
    if is_json:
        loop._SocketIO__socket = wire
    else:
        replaced.name('conn', wire)
        loop.conn = wire
    replaced.name('_SendLockCtx', Message())
    take_over_text()
    take_over_stops()
    take_over_leaving()
    take_over_fork()
    take_over_threads()
    replaced.name('eval', evaluate)


install()
