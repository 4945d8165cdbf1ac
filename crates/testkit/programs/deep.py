# Goes down a hundred frames that each hold 50,000 characters: what a server
# sends of a stop at the bottom is five megabytes.
import time


def go_down(left, tick):
    text = '%02d' % (left % 100) * 25000
    if left:
        return go_down(left - 1, tick)
    tick += 1  # HERE: bottom
    return tick  # HERE: after


tick = 0
while True:
    tick = go_down(99, tick)
    print('tick %d' % tick)
    time.sleep(0.05)
