# Breakpoints. Threads of the program walk through the server's tables of them,
# and evaluate and send on the way. Meanwhile the command loop changes the
# tables, and so does a thread that loads a module. Python refuses to go on with
# such a walk, and the exception becomes the program's own: so here everybody
# walks through a copy.


class Table(dict):
    """The breakpoints of a line."""

    def __iter__(self):
        return iter(list(dict.keys(self)))

    def items(self):
        return list(dict.items(self))


class Pending(set):
    """Breakpoints whose module is not loaded yet."""

    def __iter__(self):
        return iter(list(set.__iter__(self)))


def keep_table(line, breakpoints):
    if not isinstance(breakpoints, Table):
        debugger.BREAKPOINTS[line] = Table(breakpoints)


def keep_tables():
    """Those that were filled before the agent came. The lock is held."""
    for line, breakpoints in list(debugger.BREAKPOINTS.items()):
        keep_table(line, breakpoints)


def take_over_breakpoints():
    server_add = debugger.add_break_point
    name = 'command_remove_breakpoint'
    if is_json:
        name = 'on_legacyRemoveBreakpoint'
    server_remove = vars(debugger.DebuggerLoop)[name]

    def add_break_point(*arguments):
        if len(arguments) == 1:
            line = arguments[0].lineno
        else:
            # Up to dialect 4.
            line = arguments[3]

        def add():
            # One that comes after the end would be the next debugger's.
            if not world.closed:
                keep_table(line, debugger.BREAKPOINTS.get(line, ()))
                server_add(*arguments)

        locked(world.tables_lock, add)

    def remove_breakpoint(self, *arguments):
        locked(world.tables_lock, keep_tables)
        server_remove(self, *arguments)

    replaced.name('add_break_point', add_break_point)
    replace_command(name, remove_breakpoint)
    if 'PENDING_BREAKPOINTS' in names:
        before = debugger.PENDING_BREAKPOINTS
        pending = Pending(before)
        # The old one must not come back with what is in it now.
        replaced.item(names, 'PENDING_BREAKPOINTS', pending, set())
        # The command loop may have added to the old one meanwhile.
        pending.update(before)
