# Compares a service's container with the contract of its image (pkgs/contracts): what upstream's
# image contains, needs and refuses. The result is a list of assertions. A property that the
# contract does not state is not checked.
{ lib }:
let
  inherit (lib)
    concatLists
    concatMap
    concatMapStringsSep
    concatStringsSep
    elem
    filter
    hasInfix
    hasPrefix
    head
    mapAttrsToList
    optional
    optionals
    ;

  shells = [
    "bash"
    "dash"
    "sh"
  ];
  # Commands that are built into a shell, so the image needs no program of that name.
  builtinCommands = [
    "."
    ":"
    "["
    "cd"
    "command"
    "echo"
    "eval"
    "exit"
    "export"
    "false"
    "kill"
    "printf"
    "read"
    "return"
    "set"
    "shift"
    "source"
    "test"
    "trap"
    "true"
    "type"
    "ulimit"
    "umask"
    "unset"
    "wait"
  ];
  # Words that can stand before a command.
  prefixes = [
    "!"
    "do"
    "elif"
    "else"
    "exec"
    "if"
    "then"
    "time"
    "until"
    "while"
  ];
  keywords = [
    "case"
    "done"
    "esac"
    "fi"
    "for"
  ];
  # The kernel gives process 1 only the signals that it handles. These programs handle none.
  heedless = [
    "cat"
    "sleep"
    "tail"
  ];

  pieces = pattern: text: filter builtins.isString (builtins.split pattern text);
  # Replaces each quoted text by the word Q and removes redirections.
  plain =
    script:
    concatStringsSep " " (
      pieces "[0-9]*[<>]+&?[0-9]*(/[^ ;|&)]*)?" (
        concatStringsSep "Q" (pieces "'[^']*'|\"[^\"]*\"" script)
      )
    );
  wordsOf = text: filter (w: w != "") (pieces "[ \n\t\\]+" text);
  # `a && b || c`: the script works if one of the parts between `||` works.
  alternatives = script: map simple (pieces "[|][|]" (plain script));
  # The simple commands of a script without `||`, each as a list of words.
  simple = text: filter (words: words != [ ]) (map wordsOf (pieces "[|&;(){}\n]+" text));
  # The program that a simple command runs, or null if it runs none.
  programOf =
    words:
    if words == [ ] then
      null
    else
      let
        word = head words;
      in
      if
        elem word prefixes
        || builtins.match "[A-Za-z_][A-Za-z0-9_]*=.*" word != null
        || (hasPrefix "-" word)
      then
        programOf (lib.tail words)
      else if
        elem word builtinCommands
        || elem word keywords
        || hasPrefix "Q" word
        || hasPrefix "$" word
        || builtins.match "[0-9].*" word != null
      then
        null
      else
        word;

  # Words -> { shell, script } if the words call a shell with a script, else null.
  shellOf =
    words:
    if builtins.length words >= 3 && elem (baseNameOf (head words)) shells then
      let
        flag = lib.elemAt words 1;
      in
      if builtins.match "-[a-z]*c" flag != null then
        {
          shell = baseNameOf (head words);
          script = lib.elemAt words 2;
        }
      else
        null
    else
      null;

  # Programs that the words call and the image lacks. `has` tells whether the image has a program.
  missingIn =
    has: words:
    let
      script = shellOf words;
      here = optional (words != [ ] && !(has (head words))) (head words);
    in
    if script == null then here else here ++ missingInScript has script;
  missingInScript =
    has:
    { shell, script }:
    let
      lacks = map (commands: filter (p: p != null && !(has p)) (map programOf commands)) (
        alternatives script
      );
      # Only bash opens network connections by the file name /dev/tcp.
      network = optional (shell != "bash" && hasInfix "/dev/tcp/" script) "bash (for /dev/tcp)";
    in
    (if lib.any (l: l == [ ]) lacks then [ ] else concatLists lacks) ++ network;

  # podman runs a JSON array as it is, and a text with the image's sh.
  healthWords =
    text:
    if hasPrefix "[" text then
      builtins.fromJSON text
    else
      [
        "sh"
        "-c"
        text
      ];
  entrypointWords = text: if hasPrefix "[" text then builtins.fromJSON text else [ text ];

  # Whether the shell stays the parent process of the script's program. A shell as process 1
  # does not forward signals.
  shellStays =
    script:
    let
      commands = simple (concatStringsSep " ; " (pieces "[|][|]" (plain script)));
    in
    builtins.match ".*[^|][|] *exec .*" (plain script) != null
    || (builtins.length commands > 1 && !(lib.any (c: head c == "exec") commands));

  below = path: folder: folder == "/" || path == folder || hasPrefix "${folder}/" path;

  # The digit of a folder's octal mode that applies to a process of this user.
  digit =
    folder: user:
    let
      at =
        if user.uid == folder.uid then
          3
        else if user.gid == folder.gid then
          2
        else
          1;
      length = builtins.stringLength folder.mode;
    in
    lib.toInt (builtins.substring (length - at) 1 folder.mode);
  passes = folder: user: lib.mod (digit folder user) 2 == 1;
  writes = folder: user: passes folder user && lib.mod (digit folder user / 2) 2 == 1;

  showUser = user: "${toString user.uid}:${toString user.gid}";
  showFolder = folder: "${showUser folder} with mode ${folder.mode}";
in
{
  # container: { option, tag, user, init, capabilities, stopTimeout, entrypoint, command, health,
  #   environment (name -> text, null: a secret), ports, mounts, openai, hides }
  # -> [ { assertion, message } ]
  check =
    contract: container:
    let
      inherit (container) option;
      said = if container.image == null then "the image" else container.image;
      source =
        let
          s = head (contract.source or [ ]);
        in
        if contract.source or [ ] == [ ] then
          "the contract in ${option}.contract"
        else
          "${s.repository} ${s.version}, ${concatMapStringsSep ", " (x: x.path) contract.source}";
      fault = assertion: message: {
        inherit assertion;
        message = "${option} and its image ${said}: ${message} (source: ${source})";
      };
      known = contract.programs or [ ] != [ ];
      imageEntrypoint = if contract.entrypoint or null == null then [ ] else contract.entrypoint;
      imageCommand = if contract.cmd or null == null then [ ] else contract.cmd;
      has =
        program:
        elem program contract.programs
        || elem program imageEntrypoint
        || (hasInfix "/" program && elem (baseNameOf program) contract.programs);

      # The command that runs.
      overridden = container.entrypoint != null;
      entrypoint = if overridden then entrypointWords container.entrypoint else imageEntrypoint;
      command =
        if container.command != [ ] then
          container.command
        else if overridden then
          [ ]
        else
          imageCommand;
      arguments = concatStringsSep " " command;
      # Process 1, if podman's init is not used.
      first = if !overridden && contract.execsCommand or false then command else entrypoint ++ command;
      firstShell = shellOf first;
      newest = since: lib.versionAtLeast (lib.removePrefix "v" (toString version)) since;
      version = if container.tag != null then container.tag else contract.version or "0";

      user = if container.user != null then container.user else contract.user or null;
      capable = lib.any (c: elem c container.capabilities) [
        "DAC_OVERRIDE"
        "DAC_READ_SEARCH"
      ];
      folders = contract.folders or { };
      # Parent folders of a path in the image, without those that a mount replaces.
      onTheWay =
        path:
        filter (
          folder: folder != path && below path folder && !(lib.any (m: below folder m.path) container.mounts)
        ) (builtins.attrNames folders);
      closed = path: filter (folder: !(passes folders.${folder} user)) (onTheWay path);

      programs =
        what: setting: words:
        let
          missing = lib.unique (missingIn has words);
        in
        fault (missing == [ ])
          "${what} uses ${concatStringsSep ", " missing}, which the image does not contain; it contains ${concatStringsSep ", " contract.programs}. Change ${option}.${setting}.";

      set = name: container.environment ? ${name};
      valueOf = name: toString (container.environment.${name} or "");
    in
    # Programs.
    optionals known (
      [ (programs "the health command" "health.command" (healthWords container.health)) ]
      ++ optional overridden (programs "the entry point" "image or entrypoint" entrypoint)
      ++ optional (contract.execsCommand or false && command != [ ] && container.command != [ ]) (
        programs "the command" "extraArgs or command" command
      )
    )
    # Folders.
    ++ optionals (user != null && !capable) (
      concatMap (
        mount:
        let
          shut = closed mount.path;
          folder = folders.${head shut};
        in
        [
          (fault (shut == [ ])
            "${mount.path} cannot be reached: ${head shut} belongs to ${showFolder folder} in the image, and the container runs as ${showUser user} without the capability DAC_OVERRIDE. Mount it outside of ${head shut} (${mount.option})."
          )
        ]
        ++ optional (mount.writable && mount.owner != null) (
          fault (writes mount.owner user) "${mount.path} cannot be written: its folder belongs to ${showFolder mount.owner}, and the image runs as ${showUser user}. Set ${option}.runAs to ${showUser user} (${mount.option})."
        )
      ) container.mounts
      ++
        optional
          (contract.workdir or null != null && contract.workdir != "" && folders ? ${contract.workdir})
          (
            fault
              (
                lib.any (m: below contract.workdir m.path) container.mounts
                || (closed contract.workdir == [ ] && passes folders.${contract.workdir} user)
              )
              "the container runs as ${showUser user}, who may not enter the image's working folder ${contract.workdir}. Set ${option}.runAs to a user who may."
          )
    )
    # Ports.
    ++ optionals (contract.listens or [ ] != [ ] || contract.portByOption or false) (
      map (
        p:
        let
          number = toString p.container;
          named = lib.any (e: e == "${number}/${p.protocol}") (
            if contract.exposed or null == null then [ ] else contract.exposed
          );
          given =
            contract.portByOption or false
            && lib.any (hasInfix number) (command ++ map toString (builtins.attrValues container.environment));
        in
        fault (elem p.container (contract.listens or [ ]) || named || given)
          "its program does not listen on port ${number} (${p.option}): it listens on ${
            concatMapStringsSep ", " toString (contract.listens or [ ])
          }${
            lib.optionalString (contract.portByOption or false
            ) ", or on the port that an argument or a variable sets, and none sets this port"
          }."
      ) container.ports
    )
    # Files that a mount hides.
    ++ concatLists (
      mapAttrsToList (
        path: kept:
        let
          over = filter (m: below path m.path) container.mounts;
          moved = kept ? movedBy && set kept.movedBy && !(below path (valueOf kept.movedBy));
          needless = kept ? unless && builtins.match kept.unless.match (valueOf kept.unless.name) != null;
        in
        [
          (fault ((over == [ ] && !moved) || needless || container.hides ? ${path})
            "the image keeps ${kept.what} in ${path}, and ${
              if moved then
                "${kept.movedBy} = ${valueOf kept.movedBy} makes the program look elsewhere"
              else
                "the mount of ${(head (over ++ [ { path = "nothing"; } ])).path} hides it"
            }. Mount the data elsewhere${
              lib.optionalString (kept ? unless) ", set ${kept.unless.name} to ${kept.unless.match}"
            }, or give the reason why it is not needed in ${option}.hides."
          )
        ]
      ) (contract.keeps or { })
    )
    # Signals.
    ++ optional (firstShell != null) (
      fault (!(shellStays firstShell.script))
        "${firstShell.shell} stays the first process of its command and does not forward SIGTERM: each stop ends with SIGKILL. End the script with `exec` outside of a pipe."
    )
    ++ [
      (fault
        (
          container.init
          || first == [ ]
          || (
            if overridden || contract.execsCommand or false then
              !(elem (baseNameOf (head first)) heedless)
            else
              !(elem (contract.sigterm.pid1 or "unknown") [
                "ignored"
                "needs-init"
              ])
          )
        )
        "${
          if overridden then head (first ++ [ "" ]) else "its program"
        } does not stop cleanly on SIGTERM as the first process${
          lib.optionalString (!overridden && contract ? sigterm.note) " (${contract.sigterm.note})"
        }: each stop ends with SIGKILL or an error. Set ${option}.init = true."
      )
    ]
    ++ optional (contract.stopSeconds or null != null) (
      fault (container.stopTimeout >= contract.stopSeconds)
        "its program may need ${toString contract.stopSeconds} s to stop, and podman kills it after ${toString container.stopTimeout} s. Set ${option}.stopTimeout (virtualisation.quadlet.containers.<name>.containerConfig.stopTimeout overrides it)."
    )
    ++ optional (contract.stopSeconds or null != null && container.unitTimeout != null) (
      fault (container.unitTimeout > container.stopTimeout)
        "podman waits ${toString container.stopTimeout} s for the container to stop, and systemd kills podman after ${toString container.unitTimeout} s: set the unit's TimeoutStopSec above StopTimeout."
    )
    # Arguments and variables.
    ++ map (
      r:
      fault (
        (r ? since && !(newest r.since)) || builtins.match r.match arguments == null
      ) "its program refuses `${arguments}`: ${r.why}."
    ) (contract.refuses.arguments or [ ])
    ++ map (
      r:
      fault (
        !(set r.name) || (r ? match && builtins.match r.match (valueOf r.name) == null)
      ) "its program refuses the variable ${r.name}: ${r.why}. Remove ${option}.environment.${r.name}."
    ) (contract.refuses.environment or [ ])
    ++ map (
      r:
      fault
        (
          set r.name
          || (r ? since && !(newest r.since))
          || (r ? when && !(set r.when))
          || (r ? unlessArgument && elem r.unlessArgument command)
        )
        "its program needs the variable ${r.name}: ${r.why}. Set ${option}.environment.${r.name}, or ${option}.secretEnv.${r.name} for a secret."
    ) (contract.requires.environment or [ ])
    ++ optional (contract ? firstWord && !overridden) (
      fault
        (
          arguments == contract.firstWord.word
          || hasPrefix "${contract.firstWord.word} " arguments
          || lib.any (
            e: hasInfix "${baseNameOf e} ${contract.firstWord.word} " "${arguments} "
          ) imageEntrypoint
        )
        "its command must begin with ${contract.firstWord.word}: ${contract.firstWord.why}. End a script with a call of ${concatStringsSep " " imageEntrypoint} ${contract.firstWord.word}."
    )
    ++ map (
      h:
      fault (
        builtins.match h.match container.health != null
      ) "the health command reports healthy too early: ${h.why}. Change ${option}.health.command."
    ) (contract.health or [ ])
    ++ optional (contract.models or null == "served" && container.openai != null) (
      fault (container.openai.models != [ ] || container.openai.anyModel or false)
        "clients get no model name (${option}.openai.models is empty), and the server answers a request for an unknown model with an error."
    );
}
