import sys
import threading
import time

THREADS = 8
counts = [0] * THREADS
total = 0


def spin(index):
    while True:
        value = 0
        for step in range(50):
            value += step
        counts[index] += 1  # HERE: count
        if counts[index] % 20 == 0:
            hit(index)


def hit(index):
    global total
    total += 1  # HERE: hit


for number in range(THREADS):
    thread = threading.Thread(target=spin, args=(number,), name='spinner-%d' % number)
    thread.daemon = True
    thread.start()

while True:
    time.sleep(0.1)
    print('counts ' + ' '.join([str(count) for count in counts]))
    sys.stdout.flush()
