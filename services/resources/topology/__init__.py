"""Where hosts can be and whom they can serve: businesses, product lines, IDCs, rooms, racks, sets."""
