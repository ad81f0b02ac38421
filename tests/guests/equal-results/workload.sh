# The same work on host and guest; run by BusyBox's shell. Environment: ROOT (folder of the unpacked packages, empty when it is /), WORK (an empty
# folder), SCRIPTS (this folder), SEED, OPERATIONS, QUICK (1: only OpenSSL's first and last code path). Prints "== item" lines, each followed by the item's results.
BB=$ROOT/bin/busybox
LIBRARIES=$ROOT/lib/x86_64-linux-gnu:$ROOT/usr/lib/x86_64-linux-gnu
LOADER="$ROOT/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path $LIBRARIES"
OPENSSL="$LOADER $ROOT/usr/bin/openssl"
PYTHON="$LOADER $ROOT/usr/bin/python3.11"
MAWK="$LOADER $ROOT/usr/bin/mawk"
XZ="$LOADER $ROOT/usr/bin/xz"
export PYTHONHOME=$ROOT/usr PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 OPENSSL_CONF=/dev/null LC_ALL=C
cd "$WORK" || exit 1

item() { echo "== $1"; }
# What a program prints and its status, whatever happens.
show() { "$@" 2>&1; echo "status $?"; }

item 'input data'
show $PYTHON -I "$SCRIPTS/make-data.py" "$SEED" .
$BB wc -c random.bin words.txt

item 'busybox sha256sum'
show $BB sha256sum random.bin words.txt
item 'busybox md5sum'
show $BB md5sum random.bin words.txt
item 'busybox sha1sum, sha512sum, sha3sum, crc32'
show $BB sha1sum random.bin
show $BB sha512sum random.bin
show $BB sha3sum random.bin
show $BB crc32 random.bin
item 'busybox gzip | gunzip'
$BB gzip -c words.txt >words.gz
show $BB md5sum words.gz
$BB gzip -c random.bin | $BB gunzip -c | show $BB md5sum
$BB gunzip -c words.gz | show $BB md5sum
item 'busybox bzip2, bunzip2'
$BB bzip2 -c words.txt >words.bz2
show $BB md5sum words.bz2
$BB bunzip2 -c words.bz2 | show $BB md5sum
item 'busybox xz -d (of xz-utils)'
$XZ -T1 -c words.txt >words.xz
show $BB md5sum words.xz
$BB xz -d -c words.xz | show $BB md5sum
item 'busybox awk'
show $BB awk '{ count[$2]++; sum += $1; square += $1 * $1; length_sum += length($0) }
  END { for (word in count) if (count[word] > best || (count[word] == best && word < name)) { best = count[word]; name = word }
    printf "%d %d %.17g %.17g %s %d\n", NR, length_sum, sum / NR, square / NR, name, best }' words.txt
show $BB awk 'BEGIN { for (i = 1; i <= 400; i++) { x = i * 0.37 + 1 / i; y = (y * 1.7 + x) / (1.3 + x % 0.7)
    printf "%.17g %.17g %.17g %d %d %s\n", x, y, x * x - y, x * 1e5, y * 1e9, x } }'
item 'mawk'
show $MAWK 'BEGIN { for (i = 1; i <= 400; i++) { x = i * 0.37 + 1 / i
    printf "%.17g %.17g %.17g %.17g %.17g %.17g %d %.17g\n", sin(x), cos(x), exp(x / 9), log(x), sqrt(x), atan2(x, i % 7 - 3), x * 1e5, x ^ 1.7 % 13 } }'
item 'busybox bc'
echo 'scale=60; 2^521-1; sqrt(2); e(1); 4*a(1); s(0.7); c(123.4); l(97); 7^300 % 1000003; for (i=1;i<=40;i++) f = f*3 + 1/i; f' | show $BB bc -l
item 'busybox dc, expr, sort, tr'
echo '40 k 2 v 3 7 / * p 3 100 ^ p' | show $BB dc
show $BB expr 123456789 '*' 987654321 % 1000007
$BB sort -n -k1 words.txt | $BB uniq | $BB tr a-m N-Z | show $BB md5sum

# OpenSSL chooses its code by CPUID; each capability taken away brings out another path. Words: leaf 1 (EDX, ECX), then leaf 7 (EBX, ECX).
openssl_set() {
  export OPENSSL_ia32cap=$2
  [ -n "$2" ] || unset OPENSSL_ia32cap
  item "openssl dgst ($1)"
  for digest in md5 sha1 sha224 sha256 sha384 sha512 sha3-256 sha3-512 shake256 blake2s256 blake2b512; do
    show $OPENSSL dgst -$digest random.bin words.txt
  done
  show $OPENSSL dgst -sha256 -hmac key random.bin
  item "openssl enc ($1)"
  for cipher in aes-128-cbc aes-256-cbc aes-192-ecb aes-128-ctr aes-256-ctr aes-256-cfb aes-256-ofb chacha20 camellia-256-cbc; do
    show $OPENSSL enc -$cipher -K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv f0e1d2c3b4a5968778695a4b3c2d1e0f -in random.bin -out secret 2>&1 | $BB grep -v '^hex string is too'
    show $BB sha256sum secret
    $OPENSSL enc -d -$cipher -K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv f0e1d2c3b4a5968778695a4b3c2d1e0f -in secret 2>/dev/null | $BB cmp - random.bin && echo "$cipher back"
  done
  item "openssl mac, kdf ($1)"
  show $OPENSSL mac -cipher AES-128-GCM -macopt hexkey:000102030405060708090a0b0c0d0e0f -macopt hexiv:f0e1d2c3b4a5968778695a4b -in random.bin GMAC
  show $OPENSSL mac -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -in random.bin POLY1305
  show $OPENSSL mac -cipher AES-256-CBC -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -in random.bin CMAC
  show $OPENSSL kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:word -kdfopt salt:salt -kdfopt iter:2000 PBKDF2
  item "openssl ed25519, x25519, primes ($1)"
  show $OPENSSL pkeyutl -sign -rawin -inkey ed25519.der -keyform DER -in words.txt -out signature
  show $BB xxd -p signature
  $OPENSSL pkey -inform DER -in x25519.der -pubout -out x25519.pem
  show $OPENSSL pkeyutl -derive -inkey x25519.der -keyform DER -peerkey x25519.pem -out shared
  show $BB xxd -p shared
  show $OPENSSL prime -hex 7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
  show $OPENSSL prime 6864797660130609714981900799081393217269435300143305409394463459185543183397656052122559640661454554977296311391480858037121987999716643812574028291115057151
  unset OPENSSL_ia32cap
}
key() { printf '302e020100300506032b65%s04220420%s' "$1" "$($BB sha256sum words.txt | $BB cut -c1-64)" | $BB xxd -r -p; }
key 70 >ed25519.der
key 6e >x25519.der
openssl_set 'all features' ''
if [ "$QUICK" != 1 ]; then
openssl_set 'no SHA' ':~0x20000000'
openssl_set 'no AVX2, BMI2, ADX, SHA' ':~0x20080128'
openssl_set 'no AVX' '~0x1000000000000000:~0x20080128'
openssl_set 'SSSE3 only' '~0x1200000200000000:~0x20080128'
fi
openssl_set 'SSE2 only' '~0x1200020200000000:~0x20080128'

item 'python floating point'
show $PYTHON -I "$SCRIPTS/floating-point.py" "$SEED" "$OPERATIONS"
item 'python integers'
show $PYTHON -I -c "
n = pow(3, 20000, 2**2203 - 1)
print(n, (n * 7**600) // (10**90 + 7), n.bit_length(), (n << 77) % (10**40 - 17), hash(n))"
item end
