"""What people and machines see of the operator: logs, metrics, health. Built in `app`, given to those who need it."""
