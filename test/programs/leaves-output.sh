# Writes two megabytes; then, after reading a line, as much as fits into
# the pipe. Exits; its child goes on writing.
exec 9>"$WITNESS"
head -c 2000000 /dev/zero
read -r _
# A few large writes, which fit as a whole: small ones take more room than they have bytes.
dd if=/dev/zero bs=32768 count=5 2>/dev/null
echo whole
(
  echo "alive $(exec sh -c 'echo $PPID') writes-on" >&9
  for i in $(seq 25); do
    echo on
    sleep 0.1
  done
  echo "long after" >&9
  while echo on; do sleep 0.1; done
) &
