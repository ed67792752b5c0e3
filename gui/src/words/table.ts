export const words = {
  select: (name: string) => `Select ${name}`,
  selectAll: 'Select all that are shown',
  columns: 'Columns',
  columnsDefault: 'Back to the usual ones',
  comfortable: 'Higher rows',
};
