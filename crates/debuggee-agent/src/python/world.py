# Stops. The bare servers lose threads: one that is about to block when a
# resume comes is missed, and blocks for ever; threads are told to stop after
# the stop was reported, so perhaps after the resume; and a lock that is
# released twice ends the command loop.
#
# Here one lock guards one state: the world is stopped, or it runs.
# - The thread that stops the world reports that, once it can be asked for
#   values. There is one such thread for each stop.
# - Others block silently, and only while the world is stopped.
# - One that has a reason of its own to stop meanwhile keeps it back until the
#   world runs again, and then stops it in its turn.
# - A resume sets all that are blocked free, each of them once.

KIND = '_ptvsd_bridge_kind'
BREAK = 'break'
SILENT = 'silent'


class Waiter(object):
    """A blocked thread."""

    def __init__(self, lock=None):
        # Of a thread that blocked before the agent came: the lock on which
        # the server's own code waits.
        self.is_old = lock is not None
        if lock is None:
            lock = thread.allocate_lock()
            lock.acquire()
        self.lock = lock
        self.work = None
        self.released = False

    def wait(self):
        """Until it is released; does what it is asked to do meanwhile."""
        while True:
            work, self.work = self.work, None
            if work is not None:
                work()
            elif self.released:
                return
            else:
                self.lock.acquire()


class World(object):
    def __init__(self):
        self.lock = thread.allocate_lock()
        # For the server's tables of breakpoints.
        self.tables_lock = thread.allocate_lock()
        self.stopped = False
        # It was stopped when the agent came. Whoever is to report that may be
        # on its way.
        self.adopted = False
        # Nothing stops any more.
        self.closed = False
        # The server has detached.
        self.finished = False
        self.waiters = {}
        # The threads that report a stop, by their idents, and whether each has.
        # There may be two: a resume may come before the first is back.
        self.reports = {}
        self.attach_reported = False

    def stop(self, stopping):
        """The thread stops the world. The lock is held."""
        self.stopped = True
        for other in all_threads():
            if other is not stopping and other.stepping != debugger.STEPPING_ATTACH_BREAK:
                other.stepping = debugger.STEPPING_BREAK

    def resume(self):
        locked(self.lock, self.resume_locked)

    def resume_locked(self):
        self.stopped = self.adopted = False
        debugger.SEND_BREAK_COMPLETE = False
        for one in all_threads():
            if is_told_to_stop(one):
                one.stepping = debugger.STEPPING_NONE
            one.reported_process_loaded = False
        for one in list(self.waiters):
            self.release_locked(one)

    def release(self, one):
        locked(self.lock, lambda: self.release_locked(one))

    def release_locked(self, one):
        waiter = self.waiters.pop(one, None)
        if waiter is not None:
            waiter.released = True
            if not waiter.is_old:
                one._is_blocked = False
            open_lock(waiter.lock)

    def give_work(self, one, work):
        def give():
            waiter = self.waiters.get(one)
            if waiter is None:
                return
            if waiter.is_old:
                one.unblock_work = work
            else:
                waiter.work = work
            open_lock(waiter.lock)

        locked(self.lock, give)

    def close(self):
        """From now on the program runs, whatever was asked for."""
        self.closed = True
        forget_reasons()
        self.resume()
        open_lock(debugger.BREAK_ON.handler_lock)

    def report(self, report):
        """Returns whether anything was reported: a server's function may find
        that it has nothing to say, or fail."""
        own = thread.get_ident()
        self.reports[own] = False
        try:
            report()
        except Exception:
            pass
        return self.reports.pop(own)

    def take_back(self, one, waiter):
        """Nothing was reported of a stop: it ends, if it is not over by now."""

        def end():
            if self.waiters.get(one) is waiter:
                self.resume_locked()

        locked(self.lock, end)


world = World()


def forget_reasons():
    """No breakpoint and no exception stops a thread any more."""
    locked(world.tables_lock, debugger.BREAKPOINTS.clear)
    names.get('PENDING_BREAKPOINTS', set()).clear()
    names.get('DJANGO_BREAKPOINTS', {}).clear()
    debugger.BREAK_ON.break_on.clear()
    debugger.BREAK_ON.default_mode = debugger.BREAK_MODE_NEVER


def is_told_to_stop(one):
    return one.stepping in (debugger.STEPPING_BREAK, debugger.STEPPING_ATTACH_BREAK)


def is_stepping(one):
    # Looked at once: a resume takes the mark of a thread that was told to stop.
    return one.stepping not in (
        debugger.STEPPING_NONE,
        debugger.STEPPING_BREAK,
        debugger.STEPPING_ATTACH_BREAK,
    )


def has_reason(self, kind):
    """Whether the thread itself has something to report."""
    if kind == BREAK:
        asked = debugger.SEND_BREAK_COMPLETE
        return asked is True or asked == self.id
    return kind != SILENT


def block(self, report, keep_stopped_on_line=False):
    """In place of `Thread.block`."""
    kind = vars(self).pop(KIND, None)
    if not keep_stopped_on_line:
        self.stopped_on_line = self.cur_frame.f_lineno
    while True:
        world.lock.acquire()
        reason = has_reason(self, kind)
        if world.closed or debugger.DETACHED or not (reason or world.stopped):
            world.lock.release()
            return
        is_first = not world.stopped
        reports = is_first or (reason and world.adopted)
        if reports:
            world.stop(self)
        waiter = world.waiters[self] = Waiter()
        self._is_blocked = True
        world.lock.release()
        try:
            self.enum_thread_frames_locally()
            if reports and not world.report(report) and is_first:
                world.take_back(self, waiter)
            waiter.wait()
        finally:
            # Released already, unless an exception came between.
            world.release(self)
        if reports or not reason or is_stepping(self):
            return


def unblock(self):
    """In place of `Thread.unblock`."""
    world.release(self)


def schedule_work(self, work):
    """In place of `Thread.schedule_work`."""
    world.give_work(self, work)


class Gate(object):
    """In place of the lock on which the server's own `Thread.block` waits, for
    a thread that was on its way there when the agent came."""

    def __init__(self, one, lock):
        self.one = one
        self.lock = lock

    def acquire(self, *arguments):
        world.lock.acquire()
        waiter = world.waiters.get(self.one)
        if waiter is None:
            # Released on the way here: the lock is open, and the next one who
            # is to wait for it would not.
            self.lock.acquire(0)
            if world.closed or not world.stopped:
                world.lock.release()
                return True
            waiter = world.waiters[self.one] = Waiter(self.lock)
        world.lock.release()
        waiter.lock.acquire()
        return True

    def release(self):
        world.release(self.one)


class HandlerGate(object):
    """In place of the lock on which threads wait for exception handlers: when
    nobody will answer any more, nobody waits any more."""

    def __init__(self, lock):
        self.lock = lock

    def acquire(self, *arguments):
        if not world.closed:
            self.lock.acquire()
        return True

    def release(self):
        open_lock(self.lock)


def careful_step(server_step):
    """A step of a thread that is not blocked ends the server's command loop.
    Here it is a resume."""

    def step(self, *arguments):
        try:
            server_step(self, *arguments)
        except AssertionError:
            world.resume()

    return step


def replace_command(name, command):
    """Replaces a method of the command loop; the binary servers have a table
    of them besides."""
    table = vars(loop).get('command_table', {})
    keys = [key for key in table if table[key] == getattr(loop, name)]
    replaced.attribute(debugger.DebuggerLoop, name, command)
    for key in keys:
        replaced.item(table, key, getattr(loop, name))


def rebind_methods():
    """3.2.1 keeps some of a thread's methods as attributes of the thread."""
    for one in all_threads():
        kind = type(one)
        for name in vars(kind):
            if name in vars(one):
                method = vars(kind)[name].__get__(one, kind)
                if vars(one)[name] != method:
                    setattr(one, name, method)


def is_server_code(code, name):
    return code.co_name == name and code.co_filename == server_file


def take_over_stops():
    """The lock is held: a thread that comes into `block` meanwhile waits until
    the world is known."""
    server_thread = debugger.Thread
    server_async_break = vars(server_thread)['async_break']
    server_block_maybe_attach = vars(server_thread)['block_maybe_attach']
    server_mark = debugger.mark_all_threads_for_break

    def async_break(self):
        setattr(self, KIND, BREAK)
        server_async_break(self)

    def block_maybe_attach(self):
        if self.stepping == debugger.STEPPING_ATTACH_BREAK:
            # One thread reports the attach.
            def claim():
                claimed = world.attach_reported
                world.attach_reported = True
                return claimed

            if locked(world.lock, claim):
                self.stepping = debugger.STEPPING_NONE
                setattr(self, KIND, SILENT)
                return self.block(None)
        return server_block_maybe_attach(self)

    def mark_all_threads_for_break(stepping=debugger.STEPPING_BREAK, skip_thread=None):
        # Those that come with a report were marked before it.
        if skip_thread is None:
            server_mark(stepping)

    def resume_all(self):
        world.resume()

    replaced.attribute(server_thread, 'block', block)
    replaced.attribute(server_thread, 'unblock', unblock)
    replaced.attribute(server_thread, 'schedule_work', schedule_work)
    replaced.attribute(server_thread, 'async_break', async_break)
    replaced.attribute(server_thread, 'block_maybe_attach', block_maybe_attach)
    replaced.name('mark_all_threads_for_break', mark_all_threads_for_break)
    # Each thread sends its own frames when it blocks. Those of a thread that
    # does not are asked for (`channel`).
    replaced.name('update_all_thread_stacks', lambda *arguments: None)
    if is_json:
        replace_command('_resume_all', resume_all)
        steps = ('on_legacyStepInto', 'on_legacyStepOver', 'on_legacyStepOut')
    else:
        replace_command('command_resume_all', resume_all)
        steps = ('command_step_into', 'command_step_over', 'command_step_out')
    for name in steps:
        replace_command(name, careful_step(vars(debugger.DebuggerLoop)[name]))
    replaced.attribute(
        debugger.BREAK_ON, 'handler_lock', HandlerGate(debugger.BREAK_ON.handler_lock)
    )

    # Threads that have stopped, or are about to, in the server's own code. No
    # resume was sent yet in this session, so the world is as it was reported.
    rebind_methods()
    world.attach_reported = debugger.attach_sent_break
    for one in all_threads():
        lock = one._block_lock
        replaced.attribute(one, '_block_lock', Gate(one, lock))
        if one._is_blocked:
            world.waiters[one] = Waiter(lock)
    world.stopped = bool(world.attach_reported or world.waiters)
    world.adopted = world.stopped
