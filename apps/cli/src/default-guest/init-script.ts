// The default guest's /init: mounts what a shell needs, takes the terminal's size from the command line, and powers off when the shell ends.
// Parameters: anillo.rows=N anillo.cols=N anillo.term=NAME.

export const INIT_SCRIPT = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
[ -e /bin/mount ] || /bin/busybox --install -s
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o nosuid,nodev tmpfs /run
mount -t tmpfs -o nosuid,nodev tmpfs /tmp
hostname anillo
ip link set lo up 2>/dev/null
if [ -d /lib/modules ]; then
  # Twice: the buses' drivers find further devices.
  for pass in 1 2; do
    find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sort -u | xargs -r modprobe -a -q 2>/dev/null
  done
  for card in /sys/class/net/eth*; do
    [ -e "$card" ] && ip link set "\${card##*/}" up && udhcpc -q -n -t 5 -T 1 -i "\${card##*/}" -s /etc/udhcpc.sh >/dev/null 2>&1
  done
fi
for word in $(cat /proc/cmdline); do
  case "$word" in
    anillo.rows=*) stty rows "\${word#*=}" 2>/dev/null ;;
    anillo.cols=*) stty cols "\${word#*=}" 2>/dev/null ;;
    anillo.term=*) TERM="\${word#*=}" ;;
  esac
done
cd /root
echo
echo "Linux $(uname -r) and BusyBox, run by Anillo. 'exit' or 'poweroff -f' ends the machine."
setsid cttyhack sh -l
poweroff -f
`;

export const PROFILE = `export PS1='\\u@\\h:\\w\\$ '
umask 022
`;

/** What udhcpc calls when it has an address. */
export const DHCP_SCRIPT = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/\${mask:-24}" dev "$interface"
for gateway in $router; do ip route add default via "$gateway" dev "$interface"; done
for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
`;
