# Random floating-point operations, one a line: inputs, result by repr and its bits. `python3 floating-point.py SEED COUNT`.
# Operands: any bit pattern, usual magnitudes, near-integers and halves, and the values where rules change (zeros, subnormals, infinities, NaN).
import math
import struct
import sys

state = (int(sys.argv[1]) * 0x9E3779B97F4A7C15 + 0x7654321) & 0xFFFFFFFFFFFFFFFF


def next64():
    """splitmix64."""
    global state
    state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return z ^ (z >> 31)


SPECIAL = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 2.2250738585072014e-308, 2.225073858507201e-308,
    1.7976931348623157e308, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 2.0**31, 2.0**32, 2.0**-1022, 1 + 2.0**-52, 1 - 2.0**-53,
    3.4028234663852886e38, 3.4028235677973366e38, 1.401298464324817e-45, 7.006492321624085e-46, 1.1754943508222875e-38, math.pi, math.pi / 2, math.e,
]


def operand():
    kind = next64() % 16
    if kind < 2:
        return SPECIAL[next64() % len(SPECIAL)]
    if kind < 5:
        return struct.unpack("<d", next64().to_bytes(8, "little"))[0]
    sign = -1.0 if next64() & 1 else 1.0
    if kind < 7:
        return sign * (next64() % 2_000_001) / 2.0
    if kind < 12:
        return sign * (next64() >> 11) * 2.0**-53 * 10.0 ** (int(next64() % 7) - 2)
    return math.ldexp(sign * (1 + (next64() >> 12) * 2.0**-52), int(next64() % 120) - 60)


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "fmod": math.fmod,
    "remainder": math.remainder,
    "pow": math.pow,
    "power": lambda a, b: a**b,
    "atan2": math.atan2,
    "hypot": math.hypot,
    "copysign": math.copysign,
    "nextafter": math.nextafter,
    "compare": lambda a, b: (a < b, a <= b, a == b, a != b, a > b, a >= b, min(a, b), max(a, b)),
    "complex": lambda a, b: complex(a, b) * complex(b, a),
    "complex-div": lambda a, b: complex(a, b) / complex(b, 1.0),
    "single-add": lambda a, b: single(single(a) + single(b)),
    "single-mul": lambda a, b: single(single(a) * single(b)),
    "single-div": lambda a, b: single(single(a) / single(b)),
    "sum": lambda a, b: math.fsum([a, b, 1.0, -a, 1e-30]),
}
UNARY = {
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "exp": math.exp,
    "exp2": math.exp2,
    "expm1": math.expm1,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "log1p": math.log1p,
    "cbrt": math.cbrt,
    "gamma": math.gamma,
    "lgamma": math.lgamma,
    "erf": math.erf,
    "to-int": int,
    "int32-to-float": lambda a: float(int(a) & 0xFFFFFFFF),
    "int64-to-float": lambda a: float((int(a) & 0xFFFFFFFFFFFFFFFF) - 2**63),
    "big-to-float": lambda a: float(int(a) * 12345678901234567890123 + 1),
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
    "round": round,
    "round-3": lambda a: round(a, 3),
    "format": lambda a: "%.17e %.3f %g" % (a, math.fmod(a, 1e6), a),
    "parse": lambda a: float("%.25g" % a),
    "hex": lambda a: a.hex(),
    "frexp": math.frexp,
    "modf": math.modf,
    "ldexp": lambda a: math.ldexp(a, -1040),
    "ratio": lambda a: a.as_integer_ratio(),
    "hash": hash,
    "single": single,
    "single-sqrt": lambda a: single(math.sqrt(single(a))),
    "single-bits": lambda a: struct.pack("<f", a).hex(),
    "half-bits": lambda a: struct.pack("<e", a).hex(),
}
OPERATIONS = [(name, 2, function) for name, function in BINARY.items()] + [(name, 1, function) for name, function in UNARY.items()]


def bits(value):
    if isinstance(value, float):
        return struct.pack(">d", value).hex()
    if isinstance(value, complex):
        return bits(value.real) + "," + bits(value.imag)
    if isinstance(value, tuple):
        return ",".join(bits(part) for part in value)
    return "-"


lines = []
for index in range(int(sys.argv[2])):
    name, arity, function = OPERATIONS[index % len(OPERATIONS)]
    operands = [operand() for _ in range(arity)]
    if name == "hash" and operands[0] != operands[0]:
        # The hash of a NaN is its address.
        operands[0] = 0.1
    try:
        result = function(*operands)
        text = repr(result) + " " + bits(result)
    except (ArithmeticError, ValueError) as error:
        text = type(error).__name__ + " " + str(error)
    lines.append("%d %s %s = %s" % (index, name, " ".join(bits(value) for value in operands), text))
sys.stdout.write("\n".join(lines) + "\n")
