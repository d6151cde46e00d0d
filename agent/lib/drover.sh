# The base library of shell scripts that Drover runs. Use it with:  . "$DROVER_LIB"
# Plain POSIX sh. Functions run in subshells where they need variables, so that none of theirs meets the script's.
# Each turns tracing off for itself first: `set -x` in a script must not print values.

# drover_log LEVEL MESSAGE...: one line with time (UTC) and level, to stderr, so that $(...) does not catch it.
# LEVEL is DEBUG, INFO, WARN or ERROR.
drover_log() (
    { set +x; } 2>/dev/null
    IFS=' '
    case ${1:-} in
    DEBUG | INFO | WARN | ERROR) ;;
    *)
        printf 'drover_log: the level is DEBUG, INFO, WARN or ERROR, not "%s"\n' "${1:-}" >&2
        exit 2
        ;;
    esac
    level=$1
    shift
    printf '%s %-5s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$level" "$*" >&2
)

drover_debug() { drover_log DEBUG "$@"; }
drover_info() { drover_log INFO "$@"; }
drover_warn() { drover_log WARN "$@"; }
drover_error() { drover_log ERROR "$@"; }

# drover_param NAME [DEFAULT]: print the parameter's exact value, without a line feed of its own.
# Missing and no default: says so and fails. As everywhere in sh, $(...) drops line feeds at the end of a value.
drover_param() (
    { set +x; } 2>/dev/null
    if [ $# -lt 1 ] || [ $# -gt 2 ]; then
        printf 'drover_param: use drover_param NAME [DEFAULT]\n' >&2
        exit 2
    fi
    _drover_value drover_param parameter '' "$@"
)

# drover_var KEY [DEFAULT]: print a variable of this host by its flattened key, such as region.id. What is no text is
# printed as JSON. Missing and no default: says so and fails.
drover_var() (
    { set +x; } 2>/dev/null
    if [ $# -lt 1 ] || [ $# -gt 2 ]; then
        printf 'drover_var: use drover_var KEY [DEFAULT]\n' >&2
        exit 2
    fi
    _drover_value drover_var variable @ "$@"
)

# _drover_value FUNCTION KIND SIGN NAME [DEFAULT], in the subshell of its caller. In the file SIGN comes before the name.
_drover_value() {
    function=$1 kind=$2 wanted=$3$4
    shift 3
    case $wanted in
    *=*) DROVER_PARAMS_FD= ;; # no name holds one, but a name and the beginning of its value would look so
    esac
    if [ -n "${DROVER_PARAMS_FD:-}" ]; then
        # Opened anew each time, so that every reading begins at the start.
        file=/proc/self/fd/$DROVER_PARAMS_FD
        if [ ! -r "$file" ]; then
            printf '%s: descriptor %s was closed; read parameters before sudo and the like\n' \
                "$function" "$DROVER_PARAMS_FD" >&2
            exit 1
        fi
        while IFS= read -r line; do
            case $line in
            "$wanted="*)
                printf '%b' "${line#*=}"
                exit 0
                ;;
            esac
        done <"$file"
    fi
    if [ $# -eq 2 ]; then
        printf '%s' "$2"
        exit 0
    fi
    printf '%s: there is no %s %s, and no default was given\n' "$function" "$kind" "$1" >&2
    exit 1
}

# drover_tag NAME: mark this host's outcome with a tag. The last one counts.
drover_tag() (
    { set +x; } 2>/dev/null
    LC_ALL=C
    case ${1:-} in
    '' | *[!A-Za-z0-9_.-]*) valid= ;;
    *) valid=yes ;;
    esac
    if [ $# -ne 1 ] || [ -z "$valid" ] || [ ${#1} -gt 64 ]; then
        printf 'drover_tag: a tag is 1 to 64 of the characters A-Z a-z 0-9 _ . -\n' >&2
        exit 2
    fi
    printf '%s' "$1" >|"${DROVER_TAG_FILE:?is set by Drover}"
)

# drover_result JSON: leave a value for the outcome document. The last one counts; at most 65536 bytes.
drover_result() (
    { set +x; } 2>/dev/null
    LC_ALL=C
    if [ $# -ne 1 ] || [ -z "$1" ] || [ ${#1} -gt 65536 ]; then
        printf 'drover_result: give one JSON value of at most 65536 bytes\n' >&2
        exit 2
    fi
    new=${DROVER_RESULT:?is set by Drover}.new
    printf '%s' "$1" >|"$new" && mv -f "$new" "$DROVER_RESULT"
)
