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
