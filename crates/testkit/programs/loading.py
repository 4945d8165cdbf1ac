import sys
import threading
import time

# Threads take turns as often as they can.
if hasattr(sys, 'setswitchinterval'):
    sys.setswitchinterval(0.00001)
else:
    sys.setcheckinterval(1)

THREADS = 4
counts = [0] * THREADS


def load(index):
    # To a server each of these is a module, for which breakpoints may wait.
    while True:
        name = 'loaded_%d_%d.py' % (index, counts[index])
        exec(compile('value = 1\n', name, 'exec'), {})
        counts[index] += 1
        time.sleep(0.01)


for number in range(THREADS):
    thread = threading.Thread(target=load, args=(number,), name='loader-%d' % number)
    thread.daemon = True
    thread.start()

while True:
    time.sleep(0.1)
    print('counts ' + ' '.join([str(count) for count in counts]))
    sys.stdout.flush()
