#!/bin/sh
# Serve whichever model a slot names: serve-slot.sh SLOT_FILE COMMAND [WORD...]
#
# SLOT_FILE holds one line, the model's directory; where there is no such file, or nothing in it, nothing runs. COMMAND is
# run with that directory for every {model} in its words. When the slot names another one, or none, COMMAND is told to end
# (SIGTERM), and the next begins when it is gone. One that ends by itself is started again after a pause. A directory
# counts from the moment that its manifest.json is there, which is written last.
#
# The first process of an engine's container, in any image that has a shell. `dolly own-engines` fills the slots.
set -u

PAUSE_SECONDS=${PAUSE_SECONDS:-5}
STOP_SECONDS=120     # longer than the engine gives its last answers; then it is killed

slot=$1
shift
child='' served='' missing=''

say() {
  echo "serve-slot: $*" >&2
}

doze() {             # a signal is heard at once, which a plain sleep would keep waiting
  sleep "$1" &
  wait $!
}

read_slot() {        # the directory to serve now, in $wanted
  wanted=
  if [ -r "$slot" ]; then
    IFS= read -r wanted <"$slot" || :     # a line without its end is one as well
  fi 2>/dev/null
  if [ -z "$wanted" ] || [ "$wanted" = "$served" ] || [ -f "$wanted/manifest.json" ]; then
    missing=
  else
    [ "$missing" = "$wanted" ] || say "waits for $wanted/manifest.json"
    missing=$wanted
    wanted=
  fi
}

run() {              # run MODEL COMMAND [WORD...]: become the command
  model=$1
  shift
  for word do
    shift
    filled=
    while :; do
      case $word in
        *'{model}'*) filled=$filled${word%%'{model}'*}$model word=${word#*'{model}'} ;;
        *) break ;;
      esac
    done
    set -- "$@" "$filled$word"
  done
  exec "$@"
}

is_alive() {
  [ -n "$child" ] && kill -0 "$child" 2>/dev/null
}

stop() {             # it has ended when this returns
  is_alive || return 0
  say "ends $served"
  kill -TERM "$child" 2>/dev/null
  left=$((STOP_SECONDS * 5))
  while is_alive && [ "$left" -gt 0 ]; do
    doze 0.2
    left=$((left - 1))
  done
  if is_alive; then
    say "kills $served, which did not end within $STOP_SECONDS s"
    kill -KILL "$child" 2>/dev/null
  fi
  wait "$child" 2>/dev/null
  child=
}

leave() {
  trap '' TERM INT
  stop
  exit 0
}
trap leave TERM INT

while :; do
  read_slot
  if [ "$wanted" != "$served" ]; then
    stop
    child='' served=''
    read_slot        # it may have changed again while the last one was ending
    if [ -n "$wanted" ]; then
      say "serves $wanted"
      run "$wanted" "$@" &
      child=$! served=$wanted
    fi
  elif [ -n "$served" ] && ! is_alive; then
    wait "$child" 2>/dev/null
    say "$served ended by itself (status $?) and starts again in $PAUSE_SECONDS s"
    child='' served=''
    doze "$PAUSE_SECONDS"
  fi
  doze 0.2
done
