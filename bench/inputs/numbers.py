# Floating point and long integers. `python3 numbers.py ROUNDS`
import sys

rounds = int(sys.argv[1])
x, v = 1.0, 0.0
for _ in range(rounds * 1000):
    v -= x * 0.001
    x += v * 0.001
assert abs(x * x + v * v - 1) < 0.01
n = 2**521 - 1
power = 3
for _ in range(rounds):
    power = power * power % n + 7
print(f"{power % 10**12}/{x.hex()}")
