# Writes the workload's input files from a seed: random.bin, words.txt. `python3 make-data.py SEED FOLDER`. Integers only: no CPU can differ here
# without differing everywhere.
import sys

seed, folder = int(sys.argv[1]), sys.argv[2]
state = (seed * 0x9E3779B97F4A7C15 + 0x1234567) & 0xFFFFFFFFFFFFFFFF


def next64():
    """splitmix64."""
    global state
    state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return z ^ (z >> 31)


with open(folder + "/random.bin", "wb") as file:
    # Not a multiple of any block size.
    file.write(b"".join(next64().to_bytes(8, "little") for _ in range(25_000)) + b"tail!")
syllables = "ba ce di fo gu ka le mi no pu ra se ti vo xu ".split(" ")
with open(folder + "/words.txt", "w") as file:
    for _ in range(4_000):
        value = next64()
        words = []
        for index in range(6):
            part = (value >> (8 * index)) & 0xFF
            words.append(syllables[part % 16] + syllables[part // 16])
        file.write("%d %s\n" % (value % 100_000, " ".join(words)))
