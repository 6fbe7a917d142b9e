# Simulates a recorder: after SIGTERM it needs a moment to finish its file, and a second SIGTERM spoils the
# file. Given the pid of a wrapper, it needs until the wrapper has forwarded the signal.
exec 9>"$WITNESS"
asked=
# The trap ends the process that is waited for: the signal may come
# between the test of the loop and its `wait`.
trap '[ -z "$asked" ] || { echo spoilt >&9; exit 1; }; asked=1; : >"$WITNESS-$1-asked"; echo asked >&9; kill $idle' TERM
sleep 1000 &
idle=$!
echo "alive $$ recorder" >&9
while [ -z "$asked" ]; do wait $idle; done
if [ -n "$1" ]; then
  until [ -e "$WITNESS-$1-passed-on" ]; do sleep 0.02; done
else
  sleep 0.5
fi
echo saved >&9
