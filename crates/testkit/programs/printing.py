import sys
import time

number = 0
while True:
    for _ in range(20):
        number += 1
        print('tick %d' % number)  # HERE: print
    sys.stdout.flush()
    time.sleep(0.005)
