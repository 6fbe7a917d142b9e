# The first argument is how it ends, the second one its name. It writes the third one, if any, before it
# waits; "much" is more than a compressor buffers.
# ends: by itself, with an answer. dies: of SIGTERM. obeys: with 0 on SIGTERM, after a last
# line. silent: the same without that line. grows: of SIGTERM; SIGUSR1 makes it start many processes.
exec 9>"$WITNESS"
case $1 in
  obeys) trap 'echo last; exit 0' TERM ;;
  silent) trap 'exit 0' TERM ;;
  grows) trap 'for i in $(seq 20); do sleep 1000 & done' USR1 ;;
esac
case $3 in
  '') ;;
  much) head -c 300000 /dev/urandom | base64 ;;
  *) echo "$3" ;;
esac
echo "alive $$ $2" >&9
case $1 in
  ends) echo output ;;
  dies) exec sleep 1000 ;;
  *) while :; do sleep 1000 & wait $!; done ;;
esac
