# The decoder: reads from a position in the bytes on.

cdef struct Reader:
    const uint8_t* data
    uint64_t size, at  # both in bits


cdef uint64_t take(Reader* r, int width) except? 0xBADBADBADBADBAD:
    """The next `width` bits, at most 32."""
    cdef uint64_t value = 0, index, end = r.at + width
    if end > r.size:
        raise Rare
    for index in range(r.at >> 3, (end + 7) >> 3):
        value = value << 8 | r.data[index]
    r.at = end
    return value >> (-end & 7) & ((<uint64_t>1 << width) - 1)


cdef uint64_t take_uint(Reader* r) except? 0xBADBADBADBADBAD:
    """An unsigned integer (7.1.6) of at most 64 bits, in no more octets than it needs."""
    cdef uint64_t octet = take(r, 8), value = octet & 127
    cdef int shift = 0
    while octet > 127:
        octet = take(r, 8)
        shift += 7
        if octet == 0 or shift == 63 and octet > 1:
            raise Rare
        value |= (octet & 127) << shift
    return value


cdef bytes take_octets(Reader* r, uint64_t length):
    """The next octets, which need not begin at a byte."""
    if length > (r.size - r.at) >> 3:
        raise Rare
    cdef bytes value = PyBytes_FromStringAndSize(NULL, length)
    cdef uint8_t* target = <uint8_t*>PyBytes_AS_STRING(value)
    cdef const uint8_t* source = r.data + (r.at >> 3)
    cdef int shift = r.at & 7
    cdef uint64_t index
    if shift:
        for index in range(length):
            target[index] = <uint8_t>(source[index] << shift | source[index + 1] >> (8 - shift))
    else:
        memcpy(target, source, length)
    r.at += 8 * length
    return value


cdef str take_text(Reader* r, uint64_t least, uint64_t most):
    """A string as value (7.1.10): length plus two, then characters; only ASCII ones here."""
    cdef uint64_t length = take_uint(r)
    if length < 2 or not least <= length - 2 <= most:
        raise Rare
    cdef bytes octets = take_octets(r, length - 2)
    if not octets.isascii():
        raise Rare
    return PyUnicode_DecodeASCII(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets), NULL)


cdef int take_code(Reader* r, State* state) except -1:
    """The number of the terminal that comes next."""
    cdef int code = take(r, state.width)
    if code >= state.productions:
        raise Rare
    return state.base + code


cdef object take_simple(Reader* r, Terminal* t):
    """A value of simple type."""
    cdef uint64_t number
    cdef int64_t signed
    if t.what == FIXED:
        signed = t.low + <int64_t>take(r, t.width)
        if signed > t.high:
            raise Rare
        return signed
    if t.what == SIGNED:
        signed = take(r, 1)  # the sign; a negative number is transmitted as -1 - v (7.1.5)
        number = take_uint(r)
        if number > <uint64_t>INT64_MAX:
            raise Rare
        signed = -1 - <int64_t>number if signed else <int64_t>number
        if not t.low <= signed <= t.high:
            raise Rare
        return signed
    if t.what == BOOLEAN:
        return take(r, 1) == 1
    if t.what == ENUM:
        number = take(r, t.width)
        if number > t.most:
            raise Rare
        return (<tuple>t.members)[number]
    if t.what == TEXT:
        return take_text(r, t.least, t.most)
    if t.what != UNSIGNED and t.what != BINARY:
        raise Rare
    number = take_uint(r)
    if not t.least <= number <= t.most:
        raise Rare
    return number if t.what == UNSIGNED else take_octets(r, number)


cdef object take_value(Reader* r, Terminal* t):
    """A value; for an element of simple type with the events around it."""
    if t.what == NODE:
        return take_node(r, t.plan)
    if t.boxed and take(r, 1):
        raise Rare
    value = take_simple(r, t)
    if t.boxed and take(r, 1):
        raise Rare
    return value


cdef object take_node(Reader* r, Plan* plan):
    """A node up to its end."""
    if not plan.regular:
        raise Rare
    cdef type kind = <type>plan.kind
    cdef int number
    cdef Terminal* t
    node = kind.__new__(kind)  # its __init__ would only set the same attributes
    for number in range(plan.fields):
        PyObject_SetAttr(node, <object>plan.names[number], None)
    number = take_code(r, plan.state)
    while number < plan.end:
        t = &plan.terminal[number]
        if plan.item[t.item].high == 1:
            PyObject_SetAttr(node, <object>t.name, take_value(r, t))
            number = take_code(r, &plan.state[t.item + 1])
        else:
            number = take_list(r, node, t, &plan.item[t.item], &plan.state[t.item + 1])
    return node


cdef int take_list(Reader* r, object node, Terminal* t, Item* item, State* after) except -1:
    """A list; the number of the terminal behind it."""
    cdef list values = []
    cdef int code, count = 0, again = bits_for(after.productions + 2)
    PyObject_SetAttr(node, <object>t.name, values)
    while True:
        PyList_Append(values, take_value(r, t))
        count += 1
        if count == item.high:
            return take_code(r, after)
        if count > item.limit:
            raise Rare
        if count < item.low:
            if take(r, 1):
                raise Rare
            continue
        # One production more than in the state after the list: another item.
        code = take(r, again)
        if code > after.productions:
            raise Rare
        if code:
            return after.base - 1 + code
