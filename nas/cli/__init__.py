"""The command lines, a file a command; none imports anything heavy before it has read its arguments."""
