# Writes a man page from a table (settings.def or errors.def) and its template: the line @ROWS@
# becomes the table's rows, one item each, and a heading for each comment before rows.
#
# usage: awk -f deploy/man.awk TABLE.def PAGE.in

function fail(what) {
    print FILENAME ":" FNR ": " what > "/dev/stderr"
    failed = 1
    exit 1
}

function add(line) {
    rows = rows line "\n"
}

# The arguments of SETTING(...) or ERROR(...) into at[1..]; returns their number. Strings lose
# their quotes, and neighbours become one, as in C.
function arguments(text, at,    n, i, c, quoted) {
    delete at
    n = 1
    at[1] = ""
    for (i = index(text, "(") + 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (quoted && c == "\\") {
            at[n] = at[n] substr(text, ++i, 1)
        } else if (c == "\"") {
            quoted = !quoted
        } else if (quoted) {
            at[n] = at[n] c
        } else if (c == ")") {
            return n
        } else if (c == ",") {
            at[++n] = ""
        } else if (c != " " && c != "\t") {
            at[n] = at[n] c
        }
    }
    return 0
}

# Safe at any place of a line of text, and of an argument in quotes.
function mdoc(text) {
    gsub(/\\/, "\\e", text)
    gsub(/"/, "\\(dq", text)
    return text ~ /^[.']/ ? "\\&" text : text
}

# One or more, each on a line of its own as mdoc wants it.
function sentence(text,    i) {
    while ((i = index(text, ". "))) {
        add(mdoc(substr(text, 1, i)))
        text = substr(text, i + 2)
    }
    add(mdoc(text) (text ~ /[.!?]$/ ? "" : "."))
}

function heading(text) {
    sub(/^\/\* */, "", text)
    sub(/\.? *\*\/ *$/, "", text)
    if (open)
        add(".El")
    add(".Ss " mdoc(text))
    add(".Bl -tag -width Ds")
    open = 1
}

# What a value looks like. Words: 1|2|3.
function form(type, min, max, unit,    word, words, n, i, text) {
    if (type == "WORD") {
        n = split(unit, word, "|")
        for (i = 1; i <= n; i++)
            text = text (i == 1 ? "" : i == n ? " or " : ", ") word[i]
        return "One of " text
    }
    if (type == "INT" || type == "REAL") {
        if (!(unit in units))
            fail("unit " unit " has no name in this script")
        return (type == "INT" ? "Integer" : "Number") " from " min " to " max units[unit]
    }
    if (!(type in types))
        fail("type " type " has no name in this script")
    return types[type] (type == "FLAG" ? "" : min > 1 ? " of " min " to " max " bytes" \
                                                      : " of at most " max " bytes")
}

function setting(at) {
    add(".It Ev " at[2])
    sentence(at[8])
    sentence(form(at[3], at[4], at[5], at[7]) "; " \
             (at[6] == "NULL" ? "no default" : "default " at[6]))
}

function error(at,    level) {
    level = at[5]
    sub(/^LOG_/, "", level)
    add(".It Sy " at[3] " Pq " at[2])
    sentence(at[6])
    sentence("Version 2: " at[4] "; log: " at[1] ", " level)
}

BEGIN {
    units[""] = ""; units["s"] = " seconds"; units["ms"] = " milliseconds"
    units["bytes"] = " bytes"; units["1/min"] = " a minute"; units["1/s"] = " a second"
    units["user id"] = ", the number of a user"; units["days"] = " days"
    units["tokens"] = " tokens"; units["USD"] = " US dollars"
    types["TEXT"] = "Text"; types["SECRET"] = "Secret"; types["PATH"] = "Path"
    types["LIST"] = "List"; types["FLAG"] = "Flag"
    types["ORIGINS"] = "List of origins"; types["NETWORKS"] = "List of networks"
}

FNR == 1 { file++ }

# The table. A row may be broken over several lines.
file == 1 && FNR == 1 || comment {
    comment = !/\*\//
    next
}
file == 1 && /^\/\*.*\*\/$/ { heading($0); next }
file == 1 && (row != "" || /^(SETTING|ERROR)\(/) {
    row = row $0
    n = arguments(row, at)
    if (!n)
        next
    if (!open || n != (row ~ /^SETTING/ ? 8 : 6))
        fail("a row without a heading, or of the wrong length")
    if (row ~ /^SETTING/)
        setting(at)
    else
        error(at)
    row = ""
    next
}
file == 1 && NF { fail("neither a heading nor a row") }

# The template.
file == 2 && /^@ROWS@$/ { print rows ".El"; next }
file == 2

END { if (!failed && row != "") fail("a row without its end") }
