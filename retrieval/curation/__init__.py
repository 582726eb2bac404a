"""What is to be done about the images of a collection: functions that take one."""
