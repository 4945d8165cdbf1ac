# The ways out: a detach, the end of the debugger, a fork. After each the
# server is as it was before the attach.


def detach_threads():
    """In place of the server's: before the detach is confirmed."""
    world.close()
    wait_for_stragglers()


def finish():
    """The debugger is gone, or as good as gone."""
    if world.finished:
        return
    world.finished = True
    unwrap_output()
    trim_modules()
    remove()


def attach_names():
    """What the server's attach refers to: releases differ in what it does."""
    found = []
    for name in ('attach_process_from_socket', 'attach_connected_process'):
        if name in names:
            found.extend(debugger.get_code(names[name]).co_names)
    return found


# From 2.2 on each attach wraps the program's output once more. Before,
# `enable_attach` does it, once.
wraps_at_attach = 'enable_output_redirection' in attach_names()


def trim_modules():
    """Each attach adds all loaded modules to the list that it tells the
    debugger, and none is ever taken away. What the next attach adds is left
    out, but for releases that tell the list before they add to it: there, what
    is in it twice."""
    loaded = set()
    if wraps_at_attach:
        for module in list(sys.modules.values()):
            loaded.add(getattr(module, '__dict__', {}).get('__file__'))
    kept = []
    for file, module in debugger.MODULES:
        if file not in loaded:
            loaded.add(file)
            kept.append((file, module))
    debugger.MODULES[:] = kept


def unwrap_output():
    """Of all attaches that there were."""
    unwrapped = []
    for stream in ('stdout', 'stderr'):
        output = getattr(sys, stream)
        while wraps_at_attach and isinstance(output, debugger._DebuggerOutput):
            unwrapped.append(output)
            output = output.old_out
        setattr(sys, stream, output)
    # Python 3's `print` does not hold what it is printing to: freed under it,
    # that is the end of the process. So this lives until the next detach.
    names[UNWRAPPED_NAME] = unwrapped


def remove():
    """Puts everything back."""
    replaced.put_back()
    rebind_methods()
    if OWN_FILE in debugger.DONT_DEBUG:
        debugger.DONT_DEBUG.remove(OWN_FILE)


def end_of_debugger():
    """On the server's own thread: there is nothing more to read."""
    if not world.closed:
        world.close()
    wait_for_stragglers()
    was_finished = world.finished
    finish()

    def end():
        wire.end()
        wire.close()
        if not was_finished:
            debugger.DETACHED = True

    # A JSON server's loop takes itself out of `DebuggerLoop.instance` last of
    # all. The next attach must not come before, or it would be taken out: our
    # debugger waits for the end of the connection, others for `DETACHED`.
    def end_late():
        wait_until(lambda: debugger.DebuggerLoop.instance is not loop)
        end()

    if is_json:
        in_background(end_late)
    else:
        end()


def wait_for_stragglers():
    """A thread that saw a reason to stop before the world was closed is on its
    way into `block`. That has to be the agent's still: the server's own would
    send what nobody takes, and raise in the program."""
    inside = frames_inside()
    if inside is None:
        pause(0.05)
        return

    def are_through():
        now = frames_inside()
        for ident in inside:
            if now.get(ident) is inside[ident]:
                return False
        return True

    wait_until(are_through)


def frames_inside():
    """The frames of the server's trace function, by thread. None if this
    Python does not show other threads' frames."""
    try:
        tops = sys._current_frames()
    except Exception:
        return None
    inside = {}
    own = thread.get_ident()
    for ident, frame in tops.items():
        while frame is not None and ident != own:
            if is_server_code(frame.f_code, 'trace_func'):
                inside[ident] = frame
                break
            frame = frame.f_back
    return inside


server_file = debugger.get_code(vars(debugger.Thread)['trace_func']).co_filename


def pause(seconds):
    sleep = getattr(sys.modules.get('time'), 'sleep', None)
    if sleep:
        sleep(seconds)


def cannot_send():
    """On any thread: what was sent did not go through."""
    world.close()
    wire.end()

    # The server's own thread notices and does the rest, if it still reads.
    def finish_late():
        if not wait_until(lambda: world.finished):
            finish()
            debugger.DETACHED = True

    in_background(finish_late)


def wait_until(condition):
    """For two seconds at most."""
    for _ in range(2000):
        if condition():
            return True
        pause(0.001)
    return False


def server_start_new_thread():
    """What starts threads that the server does not trace."""
    return names.get('_thread_start_new_thread', debugger._start_new_thread)


def in_background(action):
    try:
        server_start_new_thread()(action, ())
    except Exception:
        action()


def take_over_leaving():
    server_detach_process = debugger.detach_process

    def detach_process():
        server_detach_process()
        world.closed = True
        finish()

    replaced.name('detach_threads', detach_threads)
    replaced.name('detach_process', detach_process)


def in_child():
    """In a forked process there is one thread, and no debugger. What the other
    threads held when the process was copied is held for ever: their locks are
    replaced, not released."""
    sys.settrace(None)
    debugger.DETACHED = True
    world.closed = True
    world.lock = thread.allocate_lock()
    world.tables_lock = thread.allocate_lock()
    world.waiters.clear()
    debugger.send_lock = thread.allocate_lock()
    debugger.THREADS_LOCK = thread.allocate_lock()
    debugger.attach_lock = thread.allocate_lock()
    debugger.THREADS.clear()
    forget_reasons()
    debugger.DebuggerLoop.instance = None
    finish()
    debugger.BREAK_ON.handler_lock = thread.allocate_lock()
    start = server_start_new_thread()
    thread.start_new_thread = start
    if hasattr(thread, 'start_new'):
        thread.start_new = start
    threading = names.get('_threading') or sys.modules.get('threading')
    if getattr(threading, '_start_new_thread', None) is debugger.thread_creator:
        threading._start_new_thread = start
    # The number stays taken, or the end of the socket object would close
    # whatever has it by then.
    nothing = operating_system.open(operating_system.devnull, operating_system.O_RDWR)
    operating_system.dup2(nothing, wire.socket.fileno())
    operating_system.close(nothing)


operating_system = sys.modules.get('os')


def take_over_fork():
    """Also `multiprocessing`, which calls `os.fork`, and Python 2's
    `subprocess`, whose children would keep the connection open."""
    for name in ('fork', 'forkpty'):
        fork = getattr(operating_system, name, None)
        if fork is not None:
            replaced.attribute(operating_system, name, careful(fork))


def careful(fork):
    def forking():
        result = fork()
        child = result
        if isinstance(result, tuple):
            child = result[0]
        if child == 0 and not world.finished:
            try:
                in_child()
            except Exception:
                pass
        return result

    return forking
