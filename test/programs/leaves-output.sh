# Writes two megabytes and, when asked, what its reader may leave in the pipe, and exits; its child writes on.
exec 9>"$WITNESS"
head -c 2000000 /dev/zero
read -r _
# In few large writes, which fit whole: small ones take more room than they have bytes.
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
