# Plans: the fields of a message class as numbers, made once a class. Names are those of the generator's Row.

cdef int FIXED_RANGE = 4096  # integers with at most this many values take a fixed number of bits (EXI 1.0, 7.1.5)

cdef enum What:
    BOOLEAN
    ENUM
    FIXED
    UNSIGNED
    SIGNED
    TEXT
    BINARY
    NODE
    ABSTRACT  # an abstract member of a substitution group: it has a number and may not appear

cdef struct Terminal:  # one event of a type and the value behind it
    What what
    bint boxed  # an element: a start and an end of characters surround a simple value
    int item, width
    int64_t low, high  # of fixed and signed integers
    uint64_t least, most  # of unsigned integers, indices and lengths
    PyObject* name  # of the attribute
    PyObject* kind  # class of the node or of the enumeration
    PyObject* members  # of the enumeration
    Plan* plan  # of the node

cdef struct Item:  # alternative terminals that share bounds
    int low, high, limit, base, count
    bint choice, substitution

cdef struct State:  # before an item, and after the last one
    int base, productions, width

cdef struct Plan:
    bint regular  # otherwise nothing else is filled in
    int fields, items, end
    PyObject* kind
    PyObject** names
    Terminal* terminal
    Item* item
    State* state  # one more than items

_plans = {}  # class -> address of its plan; plans live as long as the process
_kept = []  # the objects that they point to


cdef int bits_for(uint64_t count):
    """The width of an event code or of an index among `count` values (EXI 1.0, 7.1.9)."""
    cdef int width = 0
    count -= 1
    while count:
        width += 1
        count >>= 1
    return width


cdef void* room_for(size_t count, size_t size) except NULL:
    cdef void* room = calloc(count + 1, size)
    if room is NULL:
        raise MemoryError
    return room


cdef PyObject* keep(object value):
    _kept.append(value)
    return <PyObject*>value


def rows_of(fields):
    """The fields that share an item: the alternatives of a choice; every other field is alone."""
    rows = []
    for field in fields:
        if rows and field.choice and rows[-1][0].choice == field.choice:
            rows[-1].append(field)
        else:
            rows.append([field])
    return rows


def types_of(field):
    """The types behind a field's terminals in the order of their numbers; None for an abstract element.

    The members of a substitution group compete sorted by name (EXI 1.0, 8.5.4.1.6); its head is abstract if the
    field has no class for it.
    """
    if field.place != "substitution":
        return [field.type]
    table = {field.element: None} | field.type
    return [None if table[element] is Node else table[element] for element in sorted(table)]


cdef Plan* plan_of(type kind) except NULL:
    """The plan of a message class."""
    known = _plans.get(kind)
    if known is not None:
        return <Plan*><size_t>known
    rows = rows_of(kind.FIELDS)
    events = [(index, field, of) for index, row in enumerate(rows) for field in row for of in types_of(field)]
    cdef Plan* plan = <Plan*>room_for(1, sizeof(Plan))
    plan.kind = keep(kind)
    plan.fields, plan.items, plan.end = len(kind.FIELDS), len(rows), len(events)
    plan.names = <PyObject**>room_for(plan.fields, sizeof(PyObject*))
    plan.terminal = <Terminal*>room_for(plan.end, sizeof(Terminal))
    plan.item = <Item*>room_for(plan.items, sizeof(Item))
    plan.state = <State*>room_for(plan.items, sizeof(State))
    plan.regular = kind.STATES is None and not any(
        field.choice and (field.high > 1 or field.place == "substitution") for field in kind.FIELDS
    )
    if plan.regular:
        fill(plan, kind.FIELDS, rows, events)
    _plans[kind] = <size_t>plan
    return plan


cdef int fill(Plan* plan, fields, rows, events) except -1:
    cdef int number, later, base = 0
    cdef Item* item
    for number, field in enumerate(fields):
        plan.names[number] = keep(field.name)
    for number, row in enumerate(rows):
        item = &plan.item[number]
        field = row[0]
        item.low, item.high, item.base = field.low, field.high, base
        item.limit = MAX_ITEMS if field.high == UNBOUNDED else field.high
        item.count = sum(len(types_of(each)) for each in row)
        item.choice, item.substitution = field.choice > 0, field.place == "substitution"
        base += item.count
    for number, (index, field, kind) in enumerate(events):
        plan.terminal[number].item = index
        plan.terminal[number].name = keep(field.name)
        plan.terminal[number].boxed = field.place in ("element", "substitution")
        describe(&plan.terminal[number], kind)
    for number in range(plan.items + 1):
        plan.state[number].base = plan.item[number].base if number < plan.items else plan.end
        plan.state[number].productions = 1  # the end of the element
        for later in range(number, plan.items):
            plan.state[number].productions += plan.item[later].count
            if plan.item[later].low:
                plan.state[number].productions -= 1  # does not come before this item
                break
        # One more code announces the second level (EXI 1.0, 8.5.4.4.1).
        plan.state[number].width = bits_for(plan.state[number].productions + 1)
    return 0


cdef int describe(Terminal* t, object kind) except -1:
    """What stands behind a terminal."""
    t.low, t.high, t.most = INT64_MIN, INT64_MAX, UINT64_MAX
    if kind is None:
        t.what = ABSTRACT
    elif not isinstance(kind, Kind):
        t.kind = keep(kind)
        if issubclass(kind, Node):
            t.what, t.plan = NODE, plan_of(kind)
        else:
            t.what, t.members, t.width, t.most = ENUM, keep(tuple(kind)), bits_for(len(kind)), len(kind) - 1
    elif kind.base == "boolean":
        t.what = BOOLEAN
    elif kind.base in ("string", "hex", "base64"):
        # A length below the least is refused here in both directions; the pure decoder knows when to tolerate it.
        t.what, t.least = TEXT if kind.base == "string" else BINARY, kind.min_length
        t.most = kind.max_length if kind.max_length is not None else MAX_TEXT if t.what == TEXT else MAX_BINARY
    elif kind.base != "integer":
        raise ValueError(f"{kind.base} is no known type")
    elif kind.low is not None and kind.high is not None and kind.high - kind.low < FIXED_RANGE:
        t.what, t.low, t.high, t.width = FIXED, kind.low, kind.high, bits_for(kind.high - kind.low + 1)
    elif kind.low is not None and kind.low >= 0:
        t.what, t.least = UNSIGNED, kind.low
        if kind.high is not None:
            t.most = min(kind.high, UINT64_MAX)
    else:
        t.what = SIGNED
        if kind.low is not None:
            t.low = max(kind.low, INT64_MIN)
        if kind.high is not None:
            t.high = min(kind.high, INT64_MAX)
    return 0
