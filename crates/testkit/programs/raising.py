import sys
import time


def raises(number):
    raise ValueError(number)  # HERE: raise


def handles(number):
    try:
        raises(number)
    except ValueError:
        pass


number = 0
while True:
    number += 1
    handles(number)
    if number % 5 == 0:
        print('tick %d' % number)  # HERE: print
        sys.stdout.flush()
    time.sleep(0.02)
