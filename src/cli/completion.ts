/** `zferry completion SHELL`: the script that a shell reads, once; it asks `zferry complete` at every Tab. */
import { Argument, type Command } from "commander";
import type { RunCommand } from "./run-command.ts";

// Words go to the program as they are, each by itself: none is run through the shell again. Replies are lines of a word and
// what it means, with a tab between; the line ":files" asks the shell to complete files besides. Bash replaces what stands
// between the last character that breaks words, as the colon of a dataset does, and the cursor.
const scripts = {
  bash: `# zferry completion bash >/etc/bash_completion.d/zferry, or: source <(zferry completion bash)
_zferry() {
  local line="\${COMP_LINE:0:COMP_POINT}" words current head reply
  read -ra words <<<"$line"
  case $line in *[[:space:]]) words+=("") ;; esac
  current="\${words[-1]}"
  head="\${current%"\${current##*["$COMP_WORDBREAKS"]}"}"
  COMPREPLY=()
  while IFS=$'\\t' read -r reply _; do
    if [ "$reply" = :files ]; then compopt -o default; else COMPREPLY+=("\${reply#"$head"}"); fi
  done < <(zferry complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _zferry zferry`,
  zsh: `#compdef zferry
# zferry completion zsh >"\${fpath[1]}/_zferry", or: source <(zferry completion zsh)
_zferry() {
  local -a replies
  local line files=
  while IFS= read -r line; do
    if [[ $line == :files ]]; then files=1; else replies+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}"); fi
  done < <(zferry complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#replies )) && _describe -V zferry replies
  [[ -z $files ]] || _files
}
if [[ \${funcstack[1]} == _zferry ]]; then _zferry "$@"; else compdef _zferry zferry; fi`,
  fish: `# zferry completion fish >~/.config/fish/completions/zferry.fish
function __zferry_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (zferry complete -- $words[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c zferry -f -a '(__zferry_complete)'`,
} as const;

type Shell = keyof typeof scripts;
export const shells = Object.keys(scripts) as readonly Shell[];

export function completionCommand(command: Command, run: RunCommand): void {
  const shell = new Argument("<shell>", "which one").choices(shells);
  command.addArgument(shell).action(run.bare((terminal, _flags, [name = ""]) => {
    terminal.stdout.write(`${scripts[name as Shell]}\n`);
    return Promise.resolve();
  }));
}
