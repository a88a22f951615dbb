# The encoder: appends to a growing piece of memory.

cdef struct Writer:
    uint8_t* data
    uint64_t room, size  # bytes
    uint64_t bits  # not yet in the data
    int count  # how many these are: fewer than 8


cdef int reserve(Writer* w, uint64_t more) except -1:
    """Make room for as many bytes."""
    if w.size + more <= w.room:
        return 0
    cdef uint64_t room = 2 * w.room + more + 248
    cdef void* moved = realloc(w.data, room)
    if moved is NULL:
        raise MemoryError
    w.data, w.room = <uint8_t*>moved, room
    return 0


cdef int put(Writer* w, int width, uint64_t value) except -1:
    """Append `width` bits, at most 32."""
    reserve(w, 8)
    w.bits = w.bits << width | value
    w.count += width
    while w.count >= 8:
        w.count -= 8
        w.data[w.size] = <uint8_t>(w.bits >> w.count)
        w.size += 1
    w.bits &= 0xFF
    return 0


cdef int put_uint(Writer* w, uint64_t value) except -1:
    """Append an unsigned integer (7.1.6)."""
    while value > 127:
        put(w, 8, value & 127 | 128)
        value >>= 7
    return put(w, 8, value)


cdef int put_octets(Writer* w, const uint8_t* source, uint64_t length) except -1:
    cdef uint64_t index
    reserve(w, length)
    for index in range(length):
        w.bits = w.bits << 8 | source[index]
        w.data[w.size] = <uint8_t>(w.bits >> w.count)
        w.size += 1
    w.bits &= 0xFF
    return 0


cdef int put_simple(Writer* w, Terminal* t, object value) except -1:
    """Append a value of simple type."""
    cdef uint64_t number
    cdef int64_t signed
    if t.what == FIXED or t.what == SIGNED:
        if not PyLong_CheckExact(value):
            raise Rare
        signed = PyLong_AsLongLong(value)
        if not t.low <= signed <= t.high:
            raise Rare
        if t.what == FIXED:
            return put(w, t.width, signed - t.low)
        put(w, 1, signed < 0)
        return put_uint(w, -1 - signed if signed < 0 else signed)
    if t.what == BOOLEAN:
        if value is not True and value is not False:
            raise Rare
        return put(w, 1, value is True)
    if t.what == ENUM:
        if <PyObject*>Py_TYPE(value) != t.kind:
            raise Rare
        return put(w, t.width, PyLong_AsLong(value))
    if t.what == UNSIGNED:
        if not PyLong_CheckExact(value):
            raise Rare
        number = PyLong_AsUnsignedLongLong(value)
    elif t.what == TEXT:
        if not PyUnicode_CheckExact(value) or not PyUnicode_IS_ASCII(value):
            raise Rare
        number = PyUnicode_GET_LENGTH(value)
    elif t.what == BINARY:
        if not PyBytes_CheckExact(value):
            raise Rare
        number = PyBytes_GET_SIZE(value)
    else:
        raise Rare
    if not t.least <= number <= t.most:
        raise Rare
    if t.what == UNSIGNED:
        return put_uint(w, number)
    if t.what == TEXT:
        put_uint(w, number + 2)
        return put_octets(w, PyUnicode_1BYTE_DATA(value), number)
    put_uint(w, number)
    return put_octets(w, <uint8_t*>PyBytes_AS_STRING(value), number)


cdef int put_value(Writer* w, Terminal* t, object value) except -1:
    """Append a value; for an element of simple type with the events around it."""
    if t.what == NODE:
        return put_node(w, t.plan, value)
    if t.boxed:
        put(w, 1, 0)
    put_simple(w, t, value)
    return put(w, 1, 0) if t.boxed else 0


cdef int put_node(Writer* w, Plan* plan, object node) except -1:
    """Append a node and its end."""
    if <PyObject*>Py_TYPE(node) != plan.kind or not plan.regular:
        raise Rare
    cdef int index, number, base = 0, width = plan.state[0].width
    cdef Item* item
    cdef State* after
    for index in range(plan.items):
        item, after = &plan.item[index], &plan.state[index + 1]
        value = PyObject_GetAttr(node, <object>plan.terminal[item.base].name)
        number = item.base
        if item.choice:
            number = chosen(plan, item, node)
            value = None if number < 0 else PyObject_GetAttr(node, <object>plan.terminal[number].name)
        elif item.substitution and value is not None:
            while plan.terminal[number].kind != <PyObject*>Py_TYPE(value):
                number += 1
                if number == item.base + item.count:
                    raise Rare
        if value is None:
            if item.low:
                raise Rare
            continue
        put(w, width, number - base)
        base, width = after.base, after.width
        if item.high == 1:
            put_value(w, &plan.terminal[number], value)
        elif put_list(w, &plan.terminal[number], item, bits_for(after.productions + 2), value) < item.high:
            base, width = after.base - 1, bits_for(after.productions + 2)
    return put(w, width, plan.end - base)


cdef int chosen(Plan* plan, Item* item, object node) except -2:
    """The number of the only alternative of a choice that is set, or -1."""
    cdef int number, found = -1
    for number in range(item.base, item.base + item.count):
        if PyObject_GetAttr(node, <object>plan.terminal[number].name) is not None:
            if found >= 0:
                raise Rare
            found = number
    return found


cdef int put_list(Writer* w, Terminal* t, Item* item, int again, object values) except -1:
    """Append the items of a list; how many there are. `again` is the width of the code of another one."""
    if not PyList_CheckExact(values) or not max(item.low, 1) <= PyList_GET_SIZE(values) <= item.limit:
        raise Rare
    cdef int position = 0
    for value in <list>values:
        if position:
            put(w, again if position >= item.low else 1, 0)
        put_value(w, t, value)
        position += 1
    return position
