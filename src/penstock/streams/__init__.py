"""The river itself: streams, their journal, the generations that write them and the readers that follow them."""
