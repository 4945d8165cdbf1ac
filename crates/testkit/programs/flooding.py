import sys
import time


def clock():
    return getattr(time, 'perf_counter', time.time)()


def lines(count):
    for number in range(count):
        sys.stdout.write('line %d\n' % number)
        if number % 1000 == 999:
            sys.stderr.write('so far %d\n' % number)


def spout(seconds):
    """Prints without a pause worth the name, and how long it was held up."""
    begun = before = clock()
    longest = number = 0
    while before - begun < seconds:
        for _ in range(50):
            sys.stdout.write('%d %s\n' % (number, '.' * 4000))
            number += 1
        time.sleep(0.01)
        now = clock()
        longest = max(longest, now - before)
        before = now
    # Not through the debugger, which may be the one that holds it up.
    sys.__stderr__.write('printed %d held up %.2f\n' % (number, longest))
    sys.__stderr__.flush()
    sys.stdout.write('printed %d\n' % number)


def odd():
    if sys.version_info[0] == 2:
        sys.stdout.write('caf\xe9 \xff\xfe\n')
        sys.stdout.write('caf\xc3\xa9\n')
    else:
        sys.stdout.write('caf\xe9 \udcff\n'.encode('utf-8', 'backslashreplace').decode('utf-8'))
        try:
            sys.stdout.write('caf\xe9 \udcff\n')
        except UnicodeError:
            # The real output is as strict.
            pass
        sys.stdout.buffer.write(b'caf\xe9\n')
    strange = b'caf\xe9 \xff'
    print('odd done')  # HERE: odd
    return strange


while True:
    command = sys.stdin.readline().split()
    if not command:
        break
    if command[0] == 'lines':
        lines(int(command[1]))
    elif command[0] == 'spout':
        spout(float(command[1]))
    else:
        odd()
    print('done')
    sys.stdout.flush()
