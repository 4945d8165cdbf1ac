import sys
import time

print_ = sys.stdout.write
type = vars = eval = compile = getattr = list = dict = None


def work(count, type=None, eval=None, compile=None):
    print_('tick %d\n' % count)  # HERE: print
    sys.stdout.flush()
    time.sleep(0.02)


count = 0
while True:
    count += 1
    work(count)
