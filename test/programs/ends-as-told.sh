# Ends as its first argument says, and calls itself by the second one. The third one, if any, it writes first; "much" stands for
# more than a compressor holds back.
# ends: by itself, with an answer. dies: of SIGTERM. obeys: with 0 when it gets SIGTERM, after a last word. silent: the same without it.
exec 9>"$WITNESS"
case $1 in
  obeys) trap 'echo last; exit 0' TERM ;;
  silent) trap 'exit 0' TERM ;;
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
