import sys

print('ready')
sys.stdout.flush()
while True:
    line = sys.stdin.readline()
    if not line:
        break
    answer = line.strip()
    print('got ' + answer)  # HERE: got
    sys.stdout.flush()
