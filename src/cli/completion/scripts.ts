import { COMPLETE_COMMAND, type Shell } from './names.ts';

const bash = `# Completion of ipcfs for bash: source it, or put it into ~/.local/share/bash-completion/completions/ipcfs.
_ipcfs() {
  local -a lines
  mapfile -t lines < <("$1" ${COMPLETE_COMMAND} bash -- "\${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
  COMPREPLY=("\${lines[@]:1}")
  case "\${lines[0]}" in
    *open) compopt -o nospace ;;
  esac
  case "\${lines[0]}" in
    files*) ((\${#COMPREPLY[@]})) || compopt -o filenames; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$2") ;;
    directories*) compopt -o filenames; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$2") ;;
  esac
}
complete -F _ipcfs ipcfs
`;

const zsh = `#compdef ipcfs
# Completion of ipcfs for zsh: put it as _ipcfs into a directory of $fpath, or source it after compinit.
_ipcfs() {
  local -a lines open open_texts closed closed_texts
  local line value text
  lines=("\${(@f)$("\${(Q)words[1]}" ${COMPLETE_COMMAND} zsh -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  for line in "\${(@)lines[2,-1]}"; do
    value="\${\${line#?}%%$'\\t'*}"
    text="$value"
    [[ "$line" == *$'\\t' ]] || text="$value  -- \${line#*$'\\t'}"
    if [[ "$line" == +* ]]; then
      open+=("$value"); open_texts+=("$text")
    else
      closed+=("$value"); closed_texts+=("$text")
    fi
  done
  (( $#open )) && compadd -l -S '' -d open_texts -a -- open
  (( $#closed )) && compadd -l -d closed_texts -a -- closed
  case "\${lines[1]}" in
    files) _files ;;
    directories) _files -/ ;;
  esac
}
if [[ "\${funcstack[1]}" == _ipcfs ]]; then
  _ipcfs "$@"
else
  compdef _ipcfs ipcfs
fi
`;

const fish = `# Completion of ipcfs for fish: put it into ~/.config/fish/completions/ipcfs.fish.
function __ipcfs_complete
    set -l words (commandline -opc)
    set -l lines ($words[1] ${COMPLETE_COMMAND} fish -- $words[2..-1] (commandline -ct) 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path (commandline -ct)
        case directories
            __fish_complete_directories (commandline -ct)
    end
    set -q lines[2]; and string join \\n -- $lines[2..-1]
end
complete -c ipcfs -f -a '(__ipcfs_complete)'
`;

/** What makes a shell complete ipcfs. */
export const COMPLETION_SCRIPTS: Readonly<Record<Shell, string>> = { bash, zsh, fish };
