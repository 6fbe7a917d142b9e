# Starts a daemon in its own session without an environment. When the daemon reads a line, it gets the mark by
# an exec: like a process whose environment appears only at the end of its exec.
exec 9>"$WITNESS" 8<&0
sh "${0%/*}/leave-session.sh" env -i "$(command -v setsid)" "$(command -v sh)" -c '
echo "alive $$ bare" >&9
read -r _ <&8
SUBPROCESS_GUARD_MARK=$1 exec "$0" -c "echo \"alive \$\$ marked\" >&9; exec \"\$0\" 1000" "$2"
' "$(command -v sh)" "$SUBPROCESS_GUARD_MARK" "$(command -v sleep)"
echo "alive $$ leader" >&9
exec sleep 1000
